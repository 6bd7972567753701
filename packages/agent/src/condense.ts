import {
  body,
  type EventBody,
  isMaskable,
  isMasked,
  itemsInView,
  MASKED_BYTES,
  type Observation,
  type ReplyItem,
  type SessionState,
} from "@guildhall/core";
import { ActionStatus } from "@guildhall/protocol";

import { renderTasks, tasksOf } from "./tools/index.ts";

/** How large a prompt may be, tools and system prompt included; tokens of the model in use. */
export interface ContextBudget {
  /** Beyond this, observations of old steps are masked: they cost more than they tell. */
  softTokens: number;
  /** Beyond this, old steps are dropped. The view never exceeds it by its own estimate. */
  hardTokens: number;
  /** Messages, replies and notices beyond which old steps are dropped, however small; 0: any number. */
  mostItems: number;
}

/** History up to `through` is to be replaced by a summary that a model writes; where it cannot, by `otherwise`. */
export interface Summarise {
  through: number;
  otherwise: Extract<EventBody, { case: "contextCondensed" }>;
}

/** Bytes a token stands for where no provider has counted: between prose (4) and code (3). */
export const BYTES_PER_TOKEN = 3.5;
/** Replies at the end whose observations stay whole. */
const RECENT_REPLIES = 4;
/** Share of the hard limit at which a model is asked for a summary: there must be room for it to fail. */
const SUMMARISED_AT = 0.85;
/** A condensation frees at least this share of its threshold, or it is not worth breaking the provider's cache. */
const WORTHWHILE = 0.1;
/** Most of what people said that a summary repeats, bytes. */
const QUOTED_BYTES = 6_000;
/** Most changed files that it names. */
const MOST_FILES = 40;

/** The budget for a model with so much context; softer than the model demands where that is generous. */
export function contextBudget(model: { contextTokens: number; maxOutputTokens: number }, mostItems = 0): ContextBudget {
  const context = model.contextTokens > 0 ? model.contextTokens : 32_000;
  const output = Math.min(model.maxOutputTokens > 0 ? model.maxOutputTokens : 4_096, context / 4);
  const hardTokens = Math.floor((context - output) * 0.95);
  return { hardTokens, softTokens: Math.min(64_000, Math.floor(hardTokens * 0.7)), mostItems };
}

/**
 * The condensation that the state calls for, if any: first old observations are masked, and only when that is not enough are old steps
 * dropped. Whole steps at a time and a good way below the threshold, so that prompts keep a stable beginning for many steps. Pure; after
 * the event it returns, it returns none until the history has grown again. With `summaries` a model may write what stands in place of
 * dropped steps: then that is asked for, a little before the history must be cut.
 */
export function condense(state: SessionState, budget: ContextBudget, summaries?: false): EventBody | undefined;
export function condense(state: SessionState, budget: ContextBudget, summaries: boolean): EventBody | Summarise | undefined;
export function condense(state: SessionState, budget: ContextBudget, summaries = false): EventBody | Summarise | undefined {
  const measured = measure(state);
  // The provider found it too large whatever the estimate says: get to half of what was refused, and again if need be.
  const overflow = overflown(state) && state.window.seq < (state.items.at(-1)?.seq ?? 0);
  const soft = overflow ? measured.tokens / 2 : budget.softTokens;
  const hard = overflow ? measured.tokens / 2 : budget.hardTokens;
  const toBytes = (tokens: number) => (tokens / measured.tokens) * measured.bytes;
  const drop = (wanted: number, keep: number): EventBody | Summarise | undefined => {
    const through = planDrop(state, wanted, keep);
    if (through === undefined) return undefined;
    const otherwise = body.contextCondensed({ throughSeq: through, method: "truncated", summary: summaryOf(state, through) });
    return summaries && !overflow ? { through, otherwise } : otherwise;
  };

  if (state.window.wantedSeq > state.window.seq) {
    const wanted = drop(measured.bytes, 2);
    if (wanted !== undefined) return wanted;
  }
  const items = budget.mostItems > 0 ? itemsInView(state).length : 0;
  if (budget.mostItems > 0 && items > budget.mostItems) {
    const half = drop(measured.bytes / 2, RECENT_REPLIES);
    if (half !== undefined) return half;
  }
  if (measured.tokens <= soft) return undefined;
  const mask = planMask(state, measured.bytes - toBytes(soft * 0.6));
  if (mask.freed >= toBytes(soft * WORTHWHILE) && (measured.bytes - mask.freed <= toBytes(hard) || !overflow)) {
    return body.contextCondensed({ throughSeq: mask.through, method: "masked" });
  }
  if (measured.tokens <= hard * (summaries ? SUMMARISED_AT : 1)) return undefined;
  return drop(measured.bytes - toBytes(hard * 0.5), 1);
}

/**
 * The most that a view may take, bytes. Less than the budget while the provider refuses what the estimate allows.
 */
export function room(state: SessionState, budget: ContextBudget): { bytes: number; needed: number } {
  const { bytes } = measure(state);
  const most = budget.hardTokens * BYTES_PER_TOKEN;
  return { bytes: overflown(state) ? Math.min(most, bytes) / 2 ** state.turn.failures : most, needed: bytes };
}

function overflown(state: SessionState): boolean {
  return state.turn.lastFailure?.kind === "context_overflow";
}

/** What the next prompt will take: counted by the provider up to the last reply where it told, estimated from bytes after it. */
function measure(state: SessionState): { tokens: number; bytes: number } {
  const { lastReply: reply, window } = state;
  const overhead = Buffer.byteLength(state.info.systemPrompt) + Buffer.byteLength(window.summary);
  const bytes = Math.max(1, overhead + state.bytes - window.goneBytes);
  const counted = reply !== undefined && reply.inputTokens > 0 && window.seq < reply.seq;
  if (!counted) return { tokens: bytes / BYTES_PER_TOKEN, bytes };
  return { tokens: reply.inputTokens + reply.outputTokens + (state.bytes - reply.bytesSoFar) / BYTES_PER_TOKEN, bytes };
}

/** Masks from the oldest on until enough is freed, but never the latest steps. */
function planMask(state: SessionState, wanted: number): { through: number; freed: number } {
  let through = state.window.maskedThrough;
  let freed = 0;
  for (const reply of replies(state).slice(0, -RECENT_REPLIES)) {
    if (freed >= wanted) break;
    for (const observation of observationsOf(state, reply)) {
      if (observation.seq <= state.window.maskedThrough) continue;
      through = Math.max(through, observation.seq);
      if (isMaskable(observation)) freed += observation.bytes - MASKED_BYTES;
    }
  }
  return { through, freed };
}

/** Drops from the oldest on until enough is freed, but never the last `keep` steps; undefined: there is nothing to drop. */
function planDrop(state: SessionState, wanted: number, keep: number): number | undefined {
  const steps = replies(state);
  let through: number | undefined;
  let freed = 0;
  for (const [index, reply] of steps.slice(0, -keep).entries()) {
    if (freed >= wanted) break;
    const observed = observationsOf(state, reply);
    for (const one of observed) freed += isMasked(state.window, one) ? MASKED_BYTES : one.bytes;
    freed += reply.bytes;
    // Up to the event before the next reply's first: its messages and late observations go with the step they belong to.
    const next = steps[index + 1];
    const last = Math.max(reply.seq, ...observed.map((one) => one.seq));
    through = next === undefined ? last : Math.min(last, next.seq - 1);
  }
  return through !== undefined && through > state.window.droppedThrough ? through : undefined;
}

/**
 * What stands in place of dropped steps: what people said, what the plan was, what was called, which files were touched, what is still under way. Rules
 * are in the system prompt and stay.
 */
function summaryOf(state: SessionState, through: number): string {
  const gone = state.items.toArray().filter((item) => item.seq <= through);
  const steps = gone.filter((item) => item.kind === "reply");
  const uses = new Map<string, number>();
  for (const call of steps.flatMap((reply) => reply.calls)) uses.set(call.tool, (uses.get(call.tool) ?? 0) + 1);
  const said = gone.filter((item) => item.kind === "message").map((item) => item.text.trim());
  const tasks = tasksOf(state.tasks?.data);
  const files = changedFiles(state, steps);
  const open = state.open.map((call) => `- ${call.tool} ${clip(call.arguments, 200)}`);
  const called = [...uses].map(([tool, times]) => `${tool} ×${times}`).join(", ");
  return [
    `The first ${steps.length} steps were left out to save room${called === "" ? "" : ` (${called})`}. Their effects on files stand.`,
    said.length === 0 ? "" : `What the person said in them:\n${quote(said)}`,
    tasks === undefined || tasks.length === 0 ? "" : `The task list:\n${renderTasks(tasks)}`,
    files.length === 0 ? "" : `Files that were changed: ${files.join(", ")}`,
    open.length === 0 ? "" : `Still under way:\n${open.join("\n")}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** Paths that calls changed, latest last. */
function changedFiles(state: SessionState, steps: ReplyItem[]): string[] {
  const paths = new Set<string>();
  for (const call of steps.flatMap((reply) => reply.calls)) {
    if (state.observations.find(call.callId)?.status !== ActionStatus.OK) continue;
    for (const path of pathsIn(call)) {
      paths.delete(path);
      paths.add(path);
    }
  }
  return [...paths].slice(-MOST_FILES);
}

function pathsIn({ tool, arguments: text }: { tool: string; arguments: string }): string[] {
  if (tool === "apply_patch")
    return [...text.matchAll(/\*\*\* (?:Add|Update|Delete) File: (.+?)(?:\\n|\n|$)/g)].map((match) => match[1] ?? "");
  if (tool !== "edit") return [];
  try {
    const { command, path } = JSON.parse(text) as { command?: unknown; path?: unknown };
    return typeof path === "string" && command !== "view" ? [path] : [];
  } catch {
    // Then it changed nothing either.
    return [];
  }
}

/** The first thing said is the goal and comes first; of the rest the latest count most. */
function quote(said: string[]): string {
  const [goal = "", ...later] = said;
  const kept = [clip(goal, QUOTED_BYTES / 2)];
  let room = QUOTED_BYTES / 2;
  const latest: string[] = [];
  for (const text of later.reverse()) {
    if (room <= 0) break;
    latest.unshift(clip(text, room));
    room -= text.length;
  }
  if (latest.length < later.length) kept.push("…");
  return [...kept, ...latest].map((text) => `> ${text.replaceAll("\n", "\n> ")}`).join("\n\n");
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`;
}

function replies(state: SessionState): ReplyItem[] {
  return itemsInView(state).filter((item) => item.kind === "reply");
}

function observationsOf(state: SessionState, reply: ReplyItem): Observation[] {
  return reply.calls.flatMap((call) => state.observations.find(call.callId) ?? []);
}

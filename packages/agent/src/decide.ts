import { body, type EventBody, type SessionState } from "@guildhall/core";
import { ActionStatus, Control, TurnEndReason } from "@guildhall/protocol";

import type { Summarise } from "./condense.ts";
import { NO_CALL_NOTICE, NOT_RUN, ORPHANED, STUCK, stuckNotice } from "./notices.ts";
import { openCalls } from "./open-calls.ts";
import type { Rules } from "./rules.ts";
import { stuckRule } from "./stuck.ts";
import type { PreparedCall } from "./tools/index.ts";

/** What happens next. */
export type Next =
  /** No turn is open. */
  | { do: "rest" }
  /** These events follow from the state alone. */
  | { do: "record"; events: EventBody[] }
  /** Run these calls; their intent is durable. */
  | { do: "act"; calls: PreparedCall[] }
  /** Wait for a person, at most until then (milliseconds since 1970). */
  | { do: "ask"; until: number }
  /** Ask a model for a summary of old history. */
  | ({ do: "summarise" } & Summarise)
  /** Ask the model. */
  | { do: "think" };

/** Replies without a call that an unattended run answers before it gives up on the model's acting. */
const TEXT_NUDGES = 2;
/** Times in a turn that a stuck agent is told so. */
const STUCK_NUDGES = 3;

/**
 * The one place where it is decided what a session does next. Pure: effects are made elsewhere, and their results come back as events.
 * First what a person wants stopped, then calls that are owed an observation, then whether to go on at all, then the model.
 */
export function decide(state: SessionState, rules: Rules): Next {
  if (!state.turn.open) return { do: "rest" };
  if (state.control?.control === Control.INTERRUPT) return interrupted(state, rules);
  return calls(state, rules) ?? answered(state, rules) ?? ended(state, rules) ?? condensed(state, rules) ?? { do: "think" };
}

/** The event that ends a turn. */
export function turnEnd(reason: TurnEndReason, summary: string, detail = ""): EventBody {
  return body.turnEnded({ reason, summary, detail });
}

/** A message came that the last reply had not seen. */
export function unseenMessage(state: SessionState): boolean {
  return state.lastMessageSeq > (state.lastReply?.seenSeq ?? 0);
}

/** What was about to run comes first, as it would have if the interrupt had met it running. */
function interrupted(state: SessionState, rules: Rules): Next {
  const mine = state.open.filter(({ started }) => started?.epoch === rules.epoch);
  const others = state.open.filter(({ started }) => started?.epoch !== rules.epoch);
  const closed = [...mine, ...others].map(({ callId, started }) => {
    const output = started === undefined || started.epoch === rules.epoch ? NOT_RUN : ORPHANED;
    return body.actionFinished({ callId, status: ActionStatus.INTERRUPTED, output });
  });
  const why = state.control?.reason ? `interrupted: ${state.control.reason}` : "interrupted";
  return record(...closed, turnEnd(TurnEndReason.INTERRUPTED, why));
}

function calls(state: SessionState, rules: Rules): Next | undefined {
  if (state.open.length === 0) return undefined;
  const { events, running, askedUntil } = openCalls(state, rules);
  if (events.length > 0) return record(...events);
  if (running.length > 0) return { do: "act", calls: running };
  if (state.control?.control === Control.PAUSE) return paused(state, rules);
  if (askedUntil === undefined) return { do: "ask", until: Infinity };
  if (!rules.unattended) return { do: "ask", until: askedUntil };
  const waiting = state.open.find((call) => call.approval !== undefined && call.approval.decision === undefined);
  const what = `${waiting?.tool ?? "an action"} needs approval (${waiting?.approval?.reason ?? ""})`;
  return record(
    turnEnd(TurnEndReason.NEEDS_APPROVAL, `${what} — \`guild session resume ${rules.session}\` at a terminal asks`, "approval"),
  );
}

/** The last reply was words alone: the person's turn, unless nobody is there. */
function answered(state: SessionState, rules: Rules): Next | undefined {
  const reply = state.lastReply;
  const last = state.items.at(-1);
  if (state.turn.openedBy === "approval" && nothingSince(state, state.turn.openedSeq)) {
    return record(turnEnd(TurnEndReason.WAITING, "that approval is no longer asked for"));
  }
  if (reply === undefined || last !== reply || reply.calls.length > 0 || reply.seq < state.turn.openedSeq) return undefined;
  if (unseenMessage(state)) return undefined;
  if (rules.unattended && state.turn.textNudges < TEXT_NUDGES) {
    return record(body.noticeGiven({ kind: "invalid_reply", text: NO_CALL_NOTICE }));
  }
  if (!rules.unattended && stuckRule(state) === "monologue") return undefined;
  return record(turnEnd(TurnEndReason.WAITING, firstLine(reply.text) || "the agent said nothing", "reply"));
}

function ended(state: SessionState, rules: Rules): Next | undefined {
  const { lastFailure } = state.turn;
  if (lastFailure !== undefined && !lastFailure.told) {
    return record(turnEnd(TurnEndReason.FAILED, firstLine(lastFailure.message) || lastFailure.kind, `model:${lastFailure.kind}`));
  }
  if (state.control?.control === Control.PAUSE) return paused(state, rules);
  const limit = exceeded(state, rules);
  if (limit !== undefined) return record(turnEnd(TurnEndReason.LIMIT, limit.summary, limit.detail));
  return stuck(state);
}

function paused(state: SessionState, rules: Rules): Next {
  const why = state.control?.reason ? `: ${state.control.reason}` : "";
  return record(turnEnd(TurnEndReason.PAUSED, `paused${why} — \`guild session resume ${rules.session}\` goes on`));
}

function exceeded(state: SessionState, rules: Rules): { summary: string; detail: string } | undefined {
  const { limits, spent } = state;
  const resume = `guild session resume ${rules.session}`;
  const reached = (what: string, option: string, detail: string) => ({ summary: `${what} — \`${resume} ${option}\` goes on`, detail });
  if (limits.maxSteps > 0 && state.steps >= limits.maxSteps) {
    return reached(`the limit of ${limits.maxSteps} steps is reached`, `--max-steps ${limits.maxSteps * 2}`, "steps");
  }
  const tokens = spent.inputTokens + spent.outputTokens;
  if (limits.maxTokens > 0 && tokens >= limits.maxTokens) {
    return reached(`the limit of ${limits.maxTokens} tokens is reached (${tokens})`, `--max-tokens ${limits.maxTokens * 2}`, "tokens");
  }
  if (limits.maxCostUsd > 0 && !(rules.priceKnown && spent.costKnown)) {
    const summary = `the price of ${state.info.model} is not known, so that a budget of ${limits.maxCostUsd} USD cannot be kept — limit steps or tokens instead of money`;
    return { summary, detail: "cost:unknown_price" };
  }
  if (limits.maxCostUsd > 0 && spent.costUsd >= limits.maxCostUsd) {
    const cost = `the budget of ${limits.maxCostUsd} USD is spent (${spent.costUsd.toFixed(4)})`;
    return reached(cost, `--budget ${limits.maxCostUsd * 2}`, "cost");
  }
  if (timeLeft(state, rules.activeMs(state)) <= 0) {
    return reached(`the limit of ${limits.maxSeconds} seconds is reached`, `--max-seconds ${limits.maxSeconds * 2}`, "time");
  }
  return undefined;
}

/** Milliseconds until the session's time is up, `activeMs` into its turn; Infinity: never. Time between turns does not count. */
export function timeLeft({ limits, spent }: SessionState, activeMs: number): number {
  return limits.maxSeconds === 0 ? Infinity : limits.maxSeconds * 1_000 - spent.activeMs - activeMs;
}

/** Told once; the next step of the same kind ends the turn, and so does having to be told too often. */
function stuck(state: SessionState): Next | undefined {
  const rule = stuckRule(state);
  if (rule === undefined) return undefined;
  const { stuckNudges, stuckStep } = state.turn;
  if (stuckNudges > 0 && stuckStep === state.steps) return undefined;
  if (stuckNudges >= STUCK_NUDGES || (stuckNudges > 0 && state.steps - stuckStep === 1)) {
    return record(
      turnEnd(TurnEndReason.GAVE_UP, `the agent is going round in circles: ${STUCK[rule]} — a message can set it right`, `stuck:${rule}`),
    );
  }
  return record(body.noticeGiven({ kind: "stuck", text: stuckNotice(rule) }));
}

function condensed(state: SessionState, rules: Rules): Next | undefined {
  const wanted = rules.condense(state);
  if (wanted === undefined) return undefined;
  return "through" in wanted ? { do: "summarise", ...wanted } : record(wanted);
}

function nothingSince(state: SessionState, seq: number): boolean {
  return Math.max(state.lastReply?.seq ?? 0, state.lastMessageSeq, state.observations.at(-1)?.seq ?? 0) < seq;
}

function record(...events: EventBody[]): Next {
  return { do: "record", events };
}

function firstLine(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
}

import { canonicalJson, type Tool, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";

/** What is handed on. */
export interface Assignment {
  goal: string;
  /** JSON Schema of the result that is wanted. */
  resultSchema?: Record<string, unknown>;
  /** Specification, or `role:<name>`; undefined: the model of who hands on. */
  model?: string;
  maxSteps?: number;
  /** Works in a copy of the workspace. */
  ownCopy?: boolean;
}

/** What became of the changes of an agent with a copy of its own. */
export interface MergedChanges {
  /** Files that are here as the agent has them, or with its changes merged in. */
  merged: string[];
  /** Files that were changed on both sides, in ways that do not go together; those here stand as they were. */
  conflicts: Array<{ path: string; why: string }>;
  /** Not brought here, since the agent is not done. */
  left: string[];
  /** Unified diff of what was not brought here; bounded. */
  diff: string;
}

/** How an agent's work stands. */
export interface Report {
  /** Id of its session. */
  agent: string;
  /** `running`, `done`, `gave_up`, `failed`, `limit`, `interrupted`, `paused`, `needs_approval` or `waiting`. */
  status: string;
  goal: string;
  /** Why its turn ended, in its words; empty while it runs. */
  summary: string;
  /** What it handed over, as the schema wants it. */
  result?: unknown;
  steps: number;
  tokens: number;
  costUsd: number;
  /** Of one with a copy of its own, once its turn is over. */
  changes?: MergedChanges;
}

/** Other agents, as one that hands on work has them. */
export interface Delegates {
  /** Begins; a second call with the same id finds what the first began. Throws `failed_precondition` where depth or number forbid it. */
  start(callId: string, assignment: Assignment): Promise<Report>;
  /** Waits until the agent's turn is over; takes it up again where nobody works on it. Throws `not_found` for what is not one's own. */
  wait(agent: string, signal: AbortSignal, progress: (text: string) => void): Promise<Report>;
  /** Brings the changes of an agent with a copy of its own here; `theirs`: conflicting files as it has them. */
  merge(agent: string, theirs: boolean): Promise<Report>;
  list(): Promise<Report[]>;
  stop(agent: string): Promise<Report>;
}

const schema = z.strictObject({
  command: z.enum(["start", "wait", "merge", "list", "stop"]),
  goal: z
    .string()
    .min(1)
    .optional()
    .describe("start: what to reach, with all that the agent has to know; it sees nothing of this conversation"),
  result_schema: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("start: JSON Schema (type object) of the result that you want handed over"),
  model: z.string().optional().describe("start: another model, for example role:reviewer"),
  max_steps: z.int().min(1).optional().describe("start: at most so many steps"),
  background: z.boolean().optional().describe("start: do not wait; `wait` later with its id"),
  own_copy: z
    .boolean()
    .optional()
    .describe("start: it works in a copy of the workspace; when it is done, its changes are merged here and conflicts reported"),
  theirs: z.boolean().optional().describe("merge: conflicting files as the agent has them"),
  agent: z.string().optional().describe("stop, merge, wait: the agent's id; wait without one: for all"),
});

/** Hands work to another agent, which works in the same workspace or a copy of it with a conversation, checkpoints and limits of its own. */
export function createDelegateTool(delegates: Delegates): Tool {
  return defineTool({
    name: "delegate",
    description:
      "Hand a part of the work to another agent, which works in this workspace with a context of its own, and get its result. Good for searches, reviews and parts that do not touch each other's files; agents whose changes could meet get copies of their own (own_copy). Several calls in one reply run side by side.",
    schema,
    risk: () => Risk.LOW,
    resources: (input) => [
      { name: `delegate:${input.agent ?? canonicalJson(input)}`, access: input.command === "list" ? "read" : "write" },
    ],
    // What was begun is found again, so that a wait goes on after a crash.
    repeatable: () => true,
    execute: (input, context) => execute(delegates, input, context),
  });
}

async function execute(delegates: Delegates, input: z.output<typeof schema>, context: ToolContext): Promise<ToolResult> {
  const { signal, callId } = context;
  switch (input.command) {
    case "start": {
      if (input.goal === undefined) return { status: "error", output: "`start` needs a `goal`." };
      const { goal, result_schema: resultSchema, model, max_steps: maxSteps, own_copy: ownCopy } = input;
      const started = await delegates.start(callId, {
        goal,
        ...(resultSchema === undefined ? {} : { resultSchema }),
        ...(model === undefined ? {} : { model }),
        ...(maxSteps === undefined ? {} : { maxSteps }),
        ...(ownCopy === undefined ? {} : { ownCopy }),
      });
      if (input.background === true) {
        return {
          status: "ok",
          output: `Agent ${started.agent} has begun. Go on; \`wait\` with its id gives the result.`,
          data: dataOf(started),
        };
      }
      return resultOf(await delegates.wait(started.agent, signal, (text) => context.progress(text)));
    }
    case "wait":
      if (input.agent !== undefined) return resultOf(await delegates.wait(input.agent, signal, (text) => context.progress(text)));
      return await waitForAll(delegates, context);
    case "stop":
      if (input.agent === undefined) return { status: "error", output: "`stop` needs an `agent`." };
      return { ...resultOf(await delegates.stop(input.agent)), status: "ok" };
    case "merge":
      if (input.agent === undefined) return { status: "error", output: "`merge` needs an `agent`." };
      return resultOf(await delegates.merge(input.agent, input.theirs === true));
    case "list": {
      const all = await delegates.list();
      const lines = all.map(
        ({ agent, status, steps, goal }) => `${agent}  ${status}  ${steps} steps  ${goal.split("\n", 1)[0]?.slice(0, 100) ?? ""}`,
      );
      return { status: "ok", output: lines.length === 0 ? "No agents." : lines.join("\n"), data: { agents: all.map(dataOf) } };
    }
  }
}

async function waitForAll(delegates: Delegates, context: ToolContext): Promise<ToolResult> {
  const all = await delegates.list();
  const running = all.filter(({ status }) => status === "running");
  if (running.length === 0) {
    // One in the background may have ended before it was waited for, and nobody has heard its result.
    const ended = all.map((report) => resultOf(report).output);
    return { status: "ok", output: ["No agent is at work.", ...ended].join("\n"), data: { agents: all.map(dataOf) } };
  }
  const results = await Promise.all(
    running.map(async ({ agent }) => resultOf(await delegates.wait(agent, context.signal, (text) => context.progress(text)))),
  );
  return {
    status: results.every(({ status }) => status === "ok") ? "ok" : "error",
    output: results.map(({ output }) => output).join("\n"),
    data: { agents: results.map(({ data }) => data) },
  };
}

function resultOf(report: Report): ToolResult {
  const { agent, status, summary, result, steps } = report;
  const said = `<agent id="${agent}" status="${status}" steps="${steps}">\n${summary}${result === undefined ? "" : `\nresult: ${JSON.stringify(result)}`}\n${told(report.changes)}</agent>`;
  return {
    status: status === "done" && (report.changes?.conflicts.length ?? 0) === 0 ? "ok" : "error",
    output: `${said}${advice(report)}`,
    data: dataOf(report),
  };
}

function told(changes: MergedChanges | undefined): string {
  if (changes === undefined) return "";
  const { merged, conflicts, left, diff } = changes;
  const lines = [
    ...(merged.length === 0 ? [] : [`merged here: ${listed(merged)}`]),
    ...conflicts.map(({ path, why }) => `conflict: ${path}: ${why}; the file here stands as it was`),
    ...(left.length === 0 ? [] : [`not brought here: ${listed(left)}`]),
    ...(diff === "" ? [] : ["what the agent changed there:", diff.trimEnd()]),
  ];
  return lines.length === 0 ? "it changed no files\n" : `${lines.join("\n")}\n`;
}

function listed(paths: readonly string[]): string {
  const most = 50;
  return paths.length <= most ? paths.join(", ") : `${paths.slice(0, most).join(", ")} and ${paths.length - most} more`;
}

function advice({ agent, status, changes }: Report): string {
  if (status === "done" && (changes?.conflicts.length ?? 0) > 0)
    return `\nPut its changes in by hand where they are wanted, or take its files: \`merge\` with ${agent} and theirs.`;
  if ((changes?.left.length ?? 0) > 0 && status !== "paused" && status !== "interrupted" && status !== "needs_approval")
    return `\n\`merge\` with ${agent} brings its changes here all the same.`;
  if (status === "needs_approval")
    return `\nIt waits for the person: guild approval list shows for what. \`wait\` for ${agent} once that is decided.`;
  if (status === "paused" || status === "interrupted") return `\n\`wait\` for ${agent} lets it go on.`;
  return "";
}

function dataOf({ costUsd, ...report }: Report): Record<string, unknown> {
  return { ...report, cost_usd: costUsd };
}

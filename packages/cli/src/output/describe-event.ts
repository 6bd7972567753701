import { ActionStatus, Control, type Event, type ToolCall, TurnEndReason } from "@guildhall/protocol";

import { count, duration, money, oneLine, type Style } from "./style.ts";

/** What a reader of events has to remember to describe the next: which call is which. */
export interface EventMemory {
  calls: Map<string, ToolCall>;
  /** The last reply made several calls, so that a result has to say whose it is. */
  parallel?: boolean;
}

/** The lines that tell a person of an event; none for what only programs need. `width`: columns of a line. */
export function describeEvent(event: Event, memory: EventMemory, style: Style, width: number): string[] {
  const { body } = event;
  switch (body.case) {
    case "sessionStarted":
      return [
        style.dim(
          `model ${body.value.model}${body.value.modelReason === "" ? "" : ` (${body.value.modelReason})`} · sandbox ${body.value.sandbox} · ${body.value.workspace}`,
        ),
      ];
    case "messageReceived":
      return [`${style.bold("you")}: ${oneLine(body.value.text, width - 5)}`];
    case "controlRequested":
      return [style.warn(controlWords[body.value.control] ?? "control")];
    case "modelReplied": {
      for (const call of body.value.toolCalls) memory.calls.set(call.callId, call);
      memory.parallel = body.value.toolCalls.length > 1;
      const head = style.bold(`step ${body.value.step}`);
      const said = oneLine(body.value.text, width - 12);
      const calls = body.value.toolCalls.map(
        (call) => `${style.bold(call.tool)} ${oneLine(callSummary(call), width - 12 - call.tool.length)}`,
      );
      const [first, ...rest] = said === "" ? calls : [said, ...calls];
      return [`${head}  ${first ?? ""}`.trimEnd(), ...rest.map((line) => `        ${line}`)];
    }
    case "modelFailed":
      return [
        style.bad(
          `model: ${body.value.kind}: ${oneLine(body.value.message, width - 20)}${body.value.toldToModel ? " (told to the model)" : ""}`,
        ),
      ];
    case "actionFinished": {
      const call = memory.calls.get(body.value.callId);
      const name = memory.parallel && call !== undefined ? `${call.tool}: ` : "";
      return [`          ${name}${actionResult(body.value, call, style, width - 10 - name.length)}`];
    }
    case "approvalRequested": {
      const call = memory.calls.get(body.value.callId);
      return [
        style.warn(
          `needs approval: ${call?.tool ?? ""} ${oneLine(call === undefined ? "" : callSummary(call), width - 30)} — ${body.value.reason}`,
        ),
      ];
    }
    case "approvalDecided":
      return [style.dim(body.value.granted ? "approved" : `refused${body.value.comment === "" ? "" : `: ${body.value.comment}`}`)];
    case "checkpointMade":
      return body.value.omitted === "" ? [] : [style.dim(`checkpoint leaves out: ${oneLine(body.value.omitted, width - 24)}`)];
    case "noticeGiven":
      return [style.warn(`notice (${body.value.kind}): ${oneLine(body.value.text, width - 20)}`)];
    case "contextCondensed":
      return [style.dim(`history up to event ${body.value.throughSeq} ${body.value.method}`)];
    case "modelChanged":
      return [style.dim(`model ${body.value.model} (${body.value.reason})`)];
    case "sessionRewound":
      return [style.warn(`rewound to event ${body.value.toSeq}`)];
    case "sessionForked":
      return [style.dim(`forked from ${body.value.parentSessionId} at event ${body.value.atSeq}`)];
    case "networkDecided":
      return body.value.decisions
        .filter((decision) => !decision.allowed)
        .map(({ method, host, port, path, reason }) =>
          style.warn(`network: ${method} ${host}:${port}${path} refused: ${oneLine(reason, width - 30)}`),
        );
    case "turnEnded": {
      const words = turnEndWords[body.value.reason] ?? "ended";
      const tone =
        body.value.reason === TurnEndReason.DONE ? style.good : body.value.reason === TurnEndReason.WAITING ? style.bold : style.bad;
      return [`${tone(words)}${body.value.summary === "" ? "" : `: ${body.value.summary}`}`];
    }
    default:
      return [];
  }
}

/** `12 steps · 34,567 tokens · $0.0123 · 41.0 s`; what is not known is left out. */
export function totals(of: { steps: number; tokens: number; costUsd: number; costKnown: boolean; ms: number }): string {
  const parts = [`${of.steps} ${of.steps === 1 ? "step" : "steps"}`];
  if (of.tokens > 0) parts.push(`${count(of.tokens)} tokens`);
  if (of.costKnown && of.costUsd > 0) parts.push(money(of.costUsd));
  parts.push(duration(of.ms));
  return parts.join(" · ");
}

/** The part of a call's arguments that says what it does. */
function callSummary(call: ToolCall): string {
  const args = parseObject(call.arguments);
  if (args === undefined) return call.arguments;
  const { command, path, pattern, query, thought, summary, message, text } = args;
  const first = [command, path, pattern, query, thought, summary, message, text].filter(
    (value) => typeof value === "string" && value !== "",
  );
  return first.length === 0 ? (Object.keys(args).length === 0 ? "" : JSON.stringify(args)) : first.slice(0, 2).join(" ");
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    // What the model wrote is no JSON: shown as it is.
    return undefined;
  }
}

interface Finished {
  status: ActionStatus;
  output: string;
  data: string;
  durationMs: number;
}

function actionResult(finished: Finished, call: ToolCall | undefined, style: Style, width: number): string {
  const time = finished.durationMs >= 100 ? ` ${style.dim(duration(finished.durationMs))}` : "";
  if (finished.status === ActionStatus.INTERRUPTED) return `${style.warn("interrupted")}${time}`;
  if (finished.status === ActionStatus.REFUSED) return `${style.warn("refused")} ${oneLine(finished.output, width - 10)}`;
  const exit = parseObject(finished.data)?.["exit_code"] ?? parseObject(finished.data)?.["exitCode"];
  const failed = finished.status === ActionStatus.ERROR || (typeof exit === "number" && exit !== 0);
  const mark = failed ? style.bad(typeof exit === "number" ? `exit ${exit}` : "error") : style.good("ok");
  if (call?.tool === "finish" || call?.tool === "think") return `${mark}${time}`;
  const lines = finished.output.split("\n").filter((line) => line.trim() !== "" && !/^\[exit code \d+\]$/.test(line));
  const told = failed ? lines.slice(-1) : lines.slice(0, 1);
  const more = lines.length > 1 ? style.dim(` (${count(lines.length)} lines)`) : "";
  return `${mark}${time} ${style.dim(oneLine(told.join(" "), Math.max(20, width - 30)))}${more}`;
}

const controlWords: Readonly<Record<number, string>> = {
  [Control.INTERRUPT]: "interrupt asked for",
  [Control.PAUSE]: "pause asked for",
  [Control.RESUME]: "resumed",
  [Control.CONDENSE]: "a summary of the history asked for",
};

const turnEndWords: Readonly<Record<number, string>> = {
  [TurnEndReason.DONE]: "done",
  [TurnEndReason.GAVE_UP]: "gave up",
  [TurnEndReason.LIMIT]: "limit reached",
  [TurnEndReason.INTERRUPTED]: "interrupted",
  [TurnEndReason.PAUSED]: "paused",
  [TurnEndReason.FAILED]: "failed",
  [TurnEndReason.NEEDS_APPROVAL]: "needs approval",
  [TurnEndReason.WAITING]: "waiting for you",
};

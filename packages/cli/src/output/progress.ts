import type { Delta, Event } from "@guildhall/protocol";

import type { Context } from "../client/context.ts";
import { describeEvent, type EventMemory, totals } from "./describe-event.ts";
import { eventLine } from "./json.ts";
import { createStyle, duration, money, oneLine } from "./style.ts";

/** Shows a session's events while they come. */
export interface Progress {
  events(events: Event[]): void;
  deltas(deltas: Delta[]): void;
  /** Makes room for something else to be printed: the transient line is wiped, and comes back with the next event. */
  pause(): void;
  /** The call that an approval is about. */
  call(callId: string): { tool: string; arguments: string } | undefined;
  /** Prints the totals; nothing is shown after it. */
  end(): void;
}

/** `json`: one object a line. Else lines for a person, at a terminal with one transient line that tells what is waited for. */
export function createProgress(context: Context, session: string, options: { json: boolean }): Progress {
  return options.json ? jsonProgress(context, session) : textProgress(context);
}

function jsonProgress(context: Context, session: string): Progress {
  const memory: EventMemory = { calls: new Map() };
  return {
    events(events) {
      for (const event of events) {
        remember(event, memory);
        context.stdout.write(`${JSON.stringify(eventLine(session, event))}\n`);
      }
    },
    deltas: () => undefined,
    pause: () => undefined,
    call: (id) => memory.calls.get(id),
    end: () => undefined,
  };
}

function textProgress(context: Context): Progress {
  const { stdout } = context;
  const style = createStyle(context.color);
  const memory: EventMemory = { calls: new Map() };
  const began = performance.now();
  const sum = { steps: 0, tokens: 0, costUsd: 0, costKnown: false };
  const transient = stdout.isTTY === true ? createTransient(stdout) : undefined;
  let waiting = "";
  let since = performance.now();
  const width = (): number => (stdout.isTTY === true ? Math.max(40, stdout.columns) : 160);
  const status = (): string => {
    const parts = [waiting === "" ? "working" : waiting, duration(performance.now() - since)];
    if (sum.steps > 0) parts.push(`step ${sum.steps}`);
    if (sum.costKnown && sum.costUsd > 0) parts.push(money(sum.costUsd));
    return style.dim(oneLine(parts.join(" · "), width() - 1));
  };
  const timer = transient === undefined ? undefined : setInterval(() => transient.show(status()), 1000);
  return {
    events(events) {
      transient?.wipe();
      for (const event of events) {
        if (event.body.case === "modelReplied") {
          const { usage, step } = event.body.value;
          sum.steps = step;
          sum.tokens += (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0);
          sum.costUsd += usage?.costUsd ?? 0;
          sum.costKnown ||= usage?.costKnown === true;
        }
        for (const line of describeEvent(event, memory, style, width())) stdout.write(`${line}\n`);
      }
      transient?.show(status());
    },
    deltas(deltas) {
      for (const { kind } of deltas) {
        if (kind.case !== "waiting" || kind.value === waiting) continue;
        waiting = kind.value;
        since = performance.now();
        if (transient === undefined && /retry|approval/.test(waiting)) stdout.write(`waiting: ${oneLine(waiting, width())}\n`);
        transient?.show(status());
      }
    },
    pause: () => transient?.wipe(),
    call: (id) => memory.calls.get(id),
    end() {
      clearInterval(timer);
      transient?.wipe();
      stdout.write(`${style.dim(totals({ ...sum, ms: performance.now() - began }))}\n`);
    },
  };
}

/** A line at the end of the output that is rewritten in place. */
function createTransient(stdout: NodeJS.WriteStream): { show(text: string): void; wipe(): void } {
  let shown = false;
  return {
    show(text) {
      stdout.write(`\r\x1b[K${text}`);
      shown = true;
    },
    wipe() {
      if (shown) stdout.write("\r\x1b[K");
      shown = false;
    },
  };
}

function remember(event: Event, memory: EventMemory): void {
  if (event.body.case !== "modelReplied") return;
  for (const call of event.body.value.toolCalls) memory.calls.set(call.callId, call);
}

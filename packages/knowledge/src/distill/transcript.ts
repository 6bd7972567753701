import type { Event, ToolCall } from "@guildhall/protocol";

import { Branches } from "../session/branches.ts";

/** Characters of one event's line. */
const LINE = 600;

/**
 * A session in lines that a model can read and cite, `[seq] who: what`; of its branch that counts, at most `characters` in all: the beginning, which says what was
 * wanted, and the end, which says what came of it.
 */
export function transcriptOf(events: readonly Event[], characters = 24_000): string {
  const branches = new Branches();
  for (const event of events) branches.take(event);
  const counting = branches.counting();
  const calls = new Map<string, ToolCall>();
  const lines: string[] = [];
  for (const { seq, body } of events) {
    if (!counting.has(seq)) continue;
    const say = (who: string, what: string): void => void (what.trim() === "" || lines.push(`[${seq}] ${who}: ${bounded(what.trim())}`));
    switch (body.case) {
      case "messageReceived":
        say("person", body.value.text);
        break;
      case "modelReplied":
        for (const call of body.value.toolCalls) calls.set(call.callId, call);
        say("agent", body.value.text);
        break;
      case "actionFinished": {
        const call = calls.get(body.value.callId);
        say(`action ${call?.tool ?? ""}`, `${(call?.arguments ?? "").slice(0, LINE / 2)} → ${body.value.output}`);
        break;
      }
      case "turnEnded":
        say("end", body.value.summary);
        break;
      default:
        break;
    }
  }
  return ends(lines, characters);
}

function bounded(text: string): string {
  return (text.length <= LINE ? text : `${text.slice(0, LINE / 2)} … ${text.slice(-LINE / 2)}`).replaceAll("\n", "\n  ").toWellFormed();
}

function ends(lines: readonly string[], characters: number): string {
  const room = { head: characters / 4, tail: (characters * 3) / 4 };
  let from = 0;
  for (; from < lines.length && room.head > 0; from += 1) room.head -= (lines[from]?.length ?? 0) + 1;
  let to = lines.length;
  for (; to > from && room.tail > (lines[to - 1]?.length ?? 0); to -= 1) room.tail -= (lines[to - 1]?.length ?? 0) + 1;
  const left = to - from;
  return [...lines.slice(0, from), ...(left > 0 ? [`(${left} more lines)`] : []), ...lines.slice(to)].join("\n");
}

import type { Event, ToolCall } from "@guildhall/protocol";

import { Branches } from "../session/branches.ts";

/** Characters of one event's line. */
const LINE = 600;

/**
 * A session in lines that a model can read and cite, `[seq] who: what`; of its branch that counts, at most `characters` in all: the beginning, which says what was
 * wanted, and the end, which says what came of it. `clean` takes out what must not leave, of each text as it was said, before anything of it is cut or escaped.
 */
export function transcriptOf(events: readonly Event[], options: { clean?(text: string): string; characters?: number } = {}): string {
  const { characters = 24_000, clean = (text: string) => text } = options;
  const branches = new Branches();
  for (const event of events) branches.take(event);
  const counting = branches.counting();
  const calls = new Map<string, ToolCall>();
  const lines: string[] = [];
  for (const { seq, body } of events) {
    if (!counting.has(seq)) continue;
    const say = (who: string, what: string): void =>
      void (what.trim() === "" || lines.push(`[${seq}] ${who}: ${bounded(clean(what).trim())}`));
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
        say(`action ${call?.tool ?? ""}`, `${bounded(clean(plain(call?.arguments ?? "")))} → ${body.value.output}`);
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

/** Arguments without the escapes of JSON, behind which nobody recognises a secret. */
function plain(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return text;
    return Object.entries(value)
      .map(([name, one]) => `${name}: ${typeof one === "string" ? one : JSON.stringify(one)}`)
      .join("; ");
  } catch {
    // What a model wrote need not be JSON.
    return text;
  }
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

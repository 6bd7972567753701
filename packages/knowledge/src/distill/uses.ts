import { type Event, type ToolCall } from "@guildhall/protocol";

import { tokenize } from "../lexical/tokenize.ts";
import { Branches } from "../session/branches.ts";
import { validationOf } from "./validation.ts";

/** Ids of what is known beyond the session that it made something of. */
export interface UsedKnowledge {
  /** A later call or reply rests on it. */
  used: string[];
  /** And a validation passed after that. */
  confirmed: string[];
}

/** Items of one session that count. */
const MOST = 20;
/** Share of an item's telling words that a call or reply must have, and how many at least; an exact value of it is enough alone. */
const SHARE = 0.4;
const FEWEST = 3;
/** As notices and `recall` show an item: `- [id, known] text`, going on in lines that are indented. */
const SHOWN = /^- \[([^\s,\]]+), known[^\]]*\] (.*(?:\n {2}.*)*)/gm;
const EXACT = /[\d_/.]|\p{Ll}\p{Lu}/u;

interface Told {
  words: ReadonlySet<string>;
  /** Identifiers, paths, numbers. */
  exact: readonly string[];
  state: "told" | "used" | "confirmed";
}

/**
 * What the log tells of the use of knowledge that a session was shown: it was used when a later call or reply has its exact values or most of its words (not those that the
 * person had said anyway), and confirmed when a validation (a test, a build) then passes. Only the branch that counts is read. Pure.
 */
export function usedKnowledge(events: readonly Event[]): UsedKnowledge {
  const branches = new Branches();
  for (const event of events) branches.take(event);
  const counting = branches.counting();
  const calls = new Map<string, ToolCall>();
  const told = new Map<string, Told>();
  let said = "";

  function show(text: string): void {
    for (const [, id = "", known = ""] of text.matchAll(SHOWN)) if (!told.has(id) && told.size < MOST) told.set(id, tellingOf(known, said));
  }
  function use(text: string): void {
    const words = new Set(tokenize(text));
    for (const one of told.values()) if (one.state === "told" && restsOn(one, text, words)) one.state = "used";
  }

  for (const { seq, body } of events) {
    if (!counting.has(seq)) continue;
    if (body.case === "messageReceived") said += `\n${body.value.text}`;
    else if (body.case === "noticeGiven" && body.value.kind === "memory") show(body.value.text);
    else if (body.case === "modelReplied") {
      use(body.value.text);
      for (const call of body.value.toolCalls) {
        calls.set(call.callId, call);
        if (!MEMORY.has(call.tool)) use(call.arguments);
      }
    } else if (body.case === "actionFinished") {
      const call = calls.get(body.value.callId);
      if (call?.tool === "recall") show(body.value.output);
      if (call !== undefined && validationOf(call, body.value)?.passed === true) {
        for (const one of told.values()) if (one.state === "used") one.state = "confirmed";
      }
    }
  }
  const those = (state: Told["state"]): string[] => [...told].filter(([, one]) => one.state === state).map(([id]) => id);
  return { used: those("used"), confirmed: those("confirmed") };
}

/** What it looks for is no use of what it finds. */
const MEMORY = new Set(["recall", "remember", "forget"]);

function tellingOf(text: string, said: string): Told {
  const heard = new Set(tokenize(said));
  const exact = (text.match(/[\p{L}\p{N}_./:@-]{4,}/gu) ?? [])
    .map((one) => one.replace(/[.:]+$/, ""))
    .filter((one) => one.length >= 4 && EXACT.test(one) && !said.includes(one));
  return { words: new Set(tokenize(text).filter((word) => word.length >= 3 && !heard.has(word))), exact, state: "told" };
}

function restsOn({ words, exact }: Told, text: string, spoken: ReadonlySet<string>): boolean {
  if (exact.some((value) => text.includes(value))) return true;
  let shared = 0;
  for (const word of words) if (spoken.has(word)) shared += 1;
  return shared >= FEWEST && shared >= SHARE * words.size;
}

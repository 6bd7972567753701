import { ActionStatus, type Event, type ToolCall } from "@guildhall/protocol";

import { tokenize } from "../lexical/tokenize.ts";
import { diversify, jaccard } from "../retrieval/diversify.ts";
import { Branches } from "../session/branches.ts";
import { changesFile, memoryEffect } from "../session/pieces.ts";
import { argument, validationOf } from "./validation.ts";

/** Something that a session learned, in one or two sentences that stand by themselves. */
export interface Lesson {
  text: string;
  title: string;
  /** Events that it rests on. */
  seqs: number[];
  /** A command that shows it, with its exit code. */
  command?: { command: string; exitCode: number };
  /** Files that the session changed, or that the text names. */
  paths: string[];
  /** 0 to 1. */
  confidence: number;
  /** The session was told to keep it: it goes before what anybody makes of the rest. */
  remembered?: boolean;
}

interface Candidate {
  id: string;
  score: number;
  tokens: ReadonlySet<string>;
  lesson: Lesson;
}

/** What people insist on, and what an agent has found out. */
const INSTRUCTION =
  /\b(?:always|never|do not|don['’]t|must(?: not)?|please use|use \S+ instead|only ever|prefer|remember that|keep in mind|make sure)\b/i;
const FINDING =
  /\b(?:because|turns? out|root cause|caused by|fix(?:ed)? (?:is|was|by)|requires?|needs?|must|only works?|fails? (?:when|if|unless|with|without)|works? only|instead of|depends? on|listens? on|is configured|are configured|defaults? to|has to be|have to be|expects?|cannot|is generated|are generated|stored in|lives? in|not supported|the reason)\b/i;
const PATH =
  /(?:[\w.@-]+\/)+[\w.@-]+\.\w+|\b[\w-]+\.(?:ts|tsx|js|jsx|py|go|rs|java|c|h|cc|cpp|rb|php|sh|json|toml|yaml|yml|conf|cfg|ini|md|sql|proto)\b/g;
const SHORTEST = 20;
const LONGEST = 400;

/**
 * A finished session as a few lessons, without a model: what it was told to remember, what people insisted on, findings in the agent's words, and the command that failed and then
 * passed. Chosen by maximal marginal relevance, so that one thing is said once. Only the branch that counts is read. Pure: the same events give the same.
 */
export function distil(events: readonly Event[], most = 6): Lesson[] {
  const branches = new Branches();
  for (const event of events) branches.take(event);
  const counting = branches.counting();
  const candidates: Candidate[] = [];
  const calls = new Map<string, ToolCall>();
  const changed = new Set<string>();
  const failed = new Map<string, number>();
  const forgotten = new Set<string>();
  const add = (score: number, lesson: Lesson): void => {
    const tokens = new Set(tokenize(`${lesson.title} ${lesson.text}`));
    if (tokens.size < 3) return;
    const same = candidates.find((one) => jaccard(one.tokens, tokens) > 0.6);
    if (same === undefined) candidates.push({ id: `${candidates.length}`, score, tokens, lesson });
    else {
      same.score = Math.max(same.score, score) + 0.05;
      same.lesson.seqs = [...new Set([...same.lesson.seqs, ...lesson.seqs])];
    }
  };
  const sentences = (text: string, seq: number, cue: RegExp, score: number, confidence: number): void => {
    for (const sentence of sentencesOf(text)) {
      if (cue.test(sentence)) add(score, { text: sentence, title: "", seqs: [seq], paths: pathsOf(sentence), confidence });
    }
  };

  for (const event of events) {
    if (!counting.has(event.seq)) continue;
    const { seq, body } = event;
    switch (body.case) {
      case "messageReceived":
        sentences(body.value.text, seq, INSTRUCTION, 0.8, 0.8);
        break;
      case "modelReplied":
        for (const call of body.value.toolCalls) calls.set(call.callId, call);
        sentences(body.value.text, seq, FINDING, 0.55, 0.5);
        break;
      case "turnEnded":
        sentences(body.value.summary, seq, FINDING, 0.7, 0.6);
        break;
      case "actionFinished": {
        const call = calls.get(body.value.callId);
        if (call === undefined) break;
        const { remembered, forgotten: dropped } = memoryEffect(event, call);
        if (dropped !== undefined) forgotten.add(dropped);
        if (remembered !== undefined) {
          const lesson = {
            text: remembered.text.slice(0, 4_000),
            title: remembered.title ?? "",
            seqs: [seq],
            paths: pathsOf(remembered.text),
            confidence: 0.75,
            remembered: true,
          };
          add(1, lesson);
          const own = candidates.find((one) => one.lesson === lesson);
          if (own !== undefined) own.id = remembered.id;
        }
        const path = argument(call, "path");
        if (body.value.status === ActionStatus.OK && changesFile(call) && path !== undefined) changed.add(path);
        const validation = validationOf(call, body.value);
        if (validation === undefined) break;
        const { command } = validation;
        if (!validation.passed) failed.set(command, seq);
        else if (failed.has(command) && changed.size > 0) {
          const files = [...changed].slice(0, 5);
          add(0.6, {
            text: `\`${command}\` checks this: it failed, and passed after changes to ${files.join(", ")}.`,
            title: "",
            seqs: [failed.get(command) ?? seq, seq],
            command: { command, exitCode: 0 },
            paths: files,
            confidence: 0.7,
          });
        }
        break;
      }
      default:
        break;
    }
  }
  return diversify(
    candidates.filter((one) => !forgotten.has(one.id)),
    most,
  ).map((one) => one.lesson);
}

function sentencesOf(text: string): string[] {
  return text
    .replaceAll(/```[\s\S]*?```/g, " ")
    .split(/\n+|(?<=[.!?])\s+(?=[\p{Lu}`"'])/u)
    .map((one) => one.replace(/^[\s>*#-]+|^\d+[.)]\s+/, "").trim())
    .filter((one) => one.length >= SHORTEST && one.length <= LONGEST && !one.endsWith("?"));
}

function pathsOf(text: string): string[] {
  return [...new Set(text.match(PATH))].slice(0, 3);
}

import type { Knowledge } from "@guildhall/protocol";

import { tokenize } from "../lexical/tokenize.ts";
import { LEAST_SHARE, wordHashes } from "./near-words.ts";

/** What two facts are compared by. */
export interface Likeness {
  text: string;
  /** Stems of what it says, without the exact parts. */
  words: ReadonlySet<string>;
  /** The same as `wordHashes`. */
  hashes: readonly number[];
  /** Those that stand before the verb: what it is about. */
  subject: ReadonlySet<string>;
  /** Numbers, paths, identifiers, quoted text: a difference there is one of facts. Those of the subject, and those behind. */
  named: ReadonlySet<string>;
  values: ReadonlySet<string>;
  /** Odd number of negations. */
  negated: boolean;
}

/** Lately made, by text: a fact is looked at several times while it is written. */
const lately = new Map<string, Likeness>();
const MOST_LATELY = 1_000;

export function likenessOf({ text }: Pick<Knowledge, "text">): Likeness {
  const known = lately.get(text);
  if (known !== undefined) return known;
  const made = makeLikeness(text.trim());
  if (lately.size >= MOST_LATELY) lately.clear();
  lately.set(text, made);
  return made;
}

function makeLikeness(text: string): Likeness {
  const plain = text.normalize("NFKC");
  const pivot = plain.search(PIVOT);
  const head = pivot > 0 ? plain.slice(0, pivot) : plain;
  const tail = pivot > 0 ? plain.slice(pivot) : "";
  const { exact: named, words: subject } = parted(head);
  const { exact: values, words: behind } = parted(tail);
  const words = new Set([...subject, ...behind]);
  const negations = plain.toLowerCase().match(NEGATION)?.length ?? 0;
  return { text, words, hashes: wordHashes(words), subject, named, values, negated: negations % 2 === 1 };
}

/** How two facts of one scope stand to each other. */
export type Relation = { kind: "duplicate" | "contradiction"; reason: string };

/**
 * By rules alone. A duplicate says nothing that the other does not: no other number, name or path, no other word but at most a seventh more on one
 * side. A contradiction speaks of the same, in nearly the same words, with another value or the other way round. What merely resembles is neither:
 * facts about two subjects never retire each other.
 */
export function relate(x: Likeness, y: Likeness): Relation | undefined {
  if (x.text === y.text) return { kind: "duplicate", reason: "the same text" };
  if (x.words.size === 0 || y.words.size === 0 || share(x.words, y.words) < LEAST_SHARE) return undefined;
  const [more, less] = [without(x.words, y.words), without(y.words, x.words)];
  const sameExact = same(new Set([...x.named, ...x.values]), new Set([...y.named, ...y.values]));
  const sameValues = sameExact || same(x.values, y.values);
  const turned = x.negated !== y.negated || opposed(more, less);
  if (sameExact && !turned) {
    const extra = Math.max(more.length, less.length);
    const room = Math.floor(Math.min(x.words.size, y.words.size) / 6);
    if (Math.min(more.length, less.length) === 0 && extra <= room) return { kind: "duplicate", reason: "nearly the same words" };
    return undefined;
  }
  const opposite: Relation = { kind: "contradiction", reason: "one says the opposite of the other" };
  // Without a verb that we know nothing tells the subject: then nearly all words must be the same.
  if (sameExact && turned && share(x.words, y.words) >= 0.85) return opposite;
  if (!same(x.named, y.named)) return undefined;
  if (share(x.subject, y.subject) < 0.75) return undefined;
  if (turned && sameValues) return opposite;
  if (x.values.size === 0 || y.values.size === 0 || x.negated !== y.negated) return undefined;
  const [left, right] = [without(x.values, y.values), without(y.values, x.values)];
  if (left.length === 0 || right.length === 0) return undefined;
  return { kind: "contradiction", reason: `${left.join(", ")} or ${right.join(", ")}`.slice(0, 200) };
}

const PIVOT =
  /(?<=\s)(?:is|are|was|were|has|have|had|must|should|may|can|cannot|will|does|do|did|uses?|needs?|takes?|runs?|listens?|requires?|returns?|defaults?|lives?|lies|stands?|goes|go|depends?|expects?|fails?|passes|works?|belongs?|starts?|begins?|ends?|sends?|stores?|keeps?|accepts?|supports?|allows?|means?|wants?|=)(?=\s)|(?<=\s)\w{3,}s(?=\s(?:at|on|to|in|from|by|with|as|every|after|before)\s)|(?<=\w):(?=\s)/i;
const NEGATION = /\b(?:not|no|never|without|neither|nor|cannot|nothing|nobody)\b|n['’]t\b/g;
/** Quoted text, paths, numbers, identifiers with humps, digits, dots, dashes or underscores. */
const EXACT =
  /`[^`]+`|"[^"]{1,80}"|(?:[\w.@~-]*\/)+[\w.@-]+|\b\w+(?:[._:-]\w+)+\b|\b\w*\d\w*(?:\.\d+)*\b|\b\p{Ll}+\p{Lu}\w*\b|\b\p{Lu}{2,}\b/gu;

/** One of these is in all that `EXACT` finds; most sentences have none, and to look for them costs little. */
const HINT = /[`"/_\d]|\w[.:-]\w|\p{L}\p{Lu}/u;

/** The exact parts of a text, and the stems of what is left. */
function parted(text: string): { exact: Set<string>; words: Set<string> } {
  const exact = new Set<string>();
  if (!HINT.test(text)) return { exact, words: new Set(tokenize(text)) };
  const rest = text.replaceAll(EXACT, (found) => {
    exact.add(found.replaceAll(/^[`"]|[`".]$/g, "").toLowerCase());
    return " ";
  });
  return { exact, words: new Set(tokenize(rest)) };
}

const OPPOSITES: ReadonlyArray<readonly [string, string]> = (
  "enabl disabl|alwai never|true fals|allow forbid|allow refus|allow deni|pass fail|requir option|increas decreas|start stop|open close|open shut|" +
  "yes no|accept reject|safe unsaf|support unsupport|first last|slow fast|slower faster|synchron asynchron|public privat|legal illeg|valid invalid"
)
  .split("|")
  .map((pair) => pair.split(" ") as [string, string]);

function opposed(more: readonly string[], less: readonly string[]): boolean {
  return OPPOSITES.some(([a, b]) => (more.includes(a) && less.includes(b)) || (more.includes(b) && less.includes(a)));
}

function same(x: ReadonlySet<string>, y: ReadonlySet<string>): boolean {
  return x.size === y.size && [...x].every((one) => y.has(one));
}

function without(x: ReadonlySet<string>, y: ReadonlySet<string>): string[] {
  return [...x].filter((one) => !y.has(one));
}

/** Jaccard; two empty sets are the same. */
function share(x: ReadonlySet<string>, y: ReadonlySet<string>): number {
  let common = 0;
  for (const one of x) if (y.has(one)) common += 1;
  const all = x.size + y.size - common;
  return all === 0 ? 1 : common / all;
}

import type { Bm25Options, WeightedTokens } from "../lexical/bm25.ts";
import { identifierParts, tokenize, tokenizeCode } from "../lexical/tokenize.ts";
import { codeFields } from "./code-fields.ts";
import type { Profile, RetrievalDocument } from "./document.ts";
import { saidInWords } from "./idioms.ts";
import type { Neighbour } from "./threads.ts";

/** A document as the indexes take it. */
export interface Analysed {
  fields: WeightedTokens[];
  /** Of them: what tells something of a piece's neighbours too. */
  context: WeightedTokens[];
  /** What the embedder is given: short, because encoders tell less of long texts and cost more. */
  dense: string;
  /** Where it is a function. */
  code: { language: string; summary: readonly string[]; program: readonly string[] } | undefined;
}

/** Scoring that suits each profile, chosen on development sets (docs/knowledge.md has the figures). */
export const BM25_OPTIONS: Readonly<Record<Profile, Bm25Options>> = {
  prose: { k1: 1.5, b: 0.75 },
  conversation: { k1: 0.9, b: 0.5 },
  code: { k1: 2.5, b: 0.85, rarity: 0.6 },
};

/** How many places away a piece's neighbours may be. */
export const REACH = 2;

/** What a word of a neighbour counts beside the piece's own: what was said before explains more than what follows. */
export function contextWeight({ distance, before }: Neighbour): number {
  return (before ? [0.7, 0.4] : [0.3, 0.2])[distance - 1] ?? 0;
}

/** What the vector of a neighbour counts beside the piece's own. */
export function meaningWeight({ distance, before }: Neighbour): number {
  return (before ? [0.9, 0.6] : [0.5, 0.3])[distance - 1] ?? 0;
}

/** What the dense arm counts beside the words, chosen for USE-Lite as the rest. */
export const DENSE_WEIGHTS: Readonly<Record<Profile, number>> = { prose: 0.2, conversation: 0.2, code: 0.15 };

/** Who says a piece of a conversation: what is asked of a person is asked of what that person said, not of what was said beside it. */
const SPEAKER = /^\s*\p{L}[\p{L}\p{N}._-]*(?: \p{L}[\p{L}\p{N}._-]*){0,2}:(?=\s)/u;

const DENSE_PROSE = 400;
const DENSE_SUMMARY = 200;

/** Parts a document into weighted fields: a function into name, documentation and body, anything else into title and text. */
export function analyse(document: RetrievalDocument): Analysed {
  const code = codeFields(document.text);
  const title = document.title ?? "";
  if (code === undefined) {
    const speaker = document.thread === undefined ? "" : (SPEAKER.exec(document.text)?.[0] ?? "");
    const context = [weighted(title, 2), weighted(document.text.slice(speaker.length), 1)];
    return {
      fields: speaker === "" ? context : [...context, weighted(speaker, 3)],
      context,
      dense: (title === "" ? document.text : `${title}\n${document.text}`).slice(0, DENSE_PROSE),
      code: undefined,
    };
  }
  const name = identifierParts(code.name).join(" ").toLowerCase();
  const called = weighted(code.name, 6, tokenizeCode);
  const summary = weighted(code.summary, 3, tokenizeCode);
  const body = weighted(code.body, 0.75, tokenizeCode);
  const said = weighted(saidInWords(code.body), 0.6);
  const fields = [called, weighted(title, 1, tokenizeCode), summary, weighted(code.documentation, 0.75, tokenizeCode), body, said];
  return {
    fields,
    context: fields,
    dense: `${name}. ${code.summary.replaceAll(/\s+/g, " ").trim().slice(0, DENSE_SUMMARY)}`,
    code: { language: code.language, summary: summary.tokens, program: [...called.tokens, ...body.tokens, ...said.tokens] },
  };
}

/** The profile of most of the documents. */
export function profileOf(documents: Iterable<RetrievalDocument>): Profile {
  let code = 0;
  let threaded = 0;
  let all = 0;
  for (const document of documents) {
    all += 1;
    if (codeFields(document.text) !== undefined) code += 1;
    if (document.thread !== undefined && document.order !== undefined) threaded += 1;
  }
  if (code * 2 > all) return "code";
  return threaded * 2 > all ? "conversation" : "prose";
}

function weighted(text: string, weight: number, read: (text: string) => string[] = tokenize): WeightedTokens {
  return { tokens: text === "" ? [] : read(text), weight };
}

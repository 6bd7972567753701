import type { Bm25Options, WeightedTokens } from "../lexical/bm25.ts";
import { identifierParts, tokenize } from "../lexical/tokenize.ts";
import { codeFields } from "./code-fields.ts";
import type { Profile, RetrievalDocument } from "./document.ts";

/** A document as the indexes take it. */
export interface Analysed {
  fields: WeightedTokens[];
  /** What the embedder is given: short, because encoders tell less of long texts and cost more. */
  dense: string;
  /** Programming language, where it is a function of one. */
  language: string | undefined;
}

/** Scoring that suits each profile, chosen on development sets (docs/knowledge.md has the figures). */
export const BM25_OPTIONS: Readonly<Record<Profile, Bm25Options>> = {
  prose: { k1: 1.5, b: 0.75 },
  code: { k1: 2.5, b: 0.9 },
};

/** What a word of a neighbour counts beside one of the piece itself, by distance: 1, 2, … */
export const NEIGHBOURS = [0.5, 0.3];

const DENSE_PROSE = 400;
const DENSE_SUMMARY = 200;

/** Parts a document into weighted fields: a function into name, documentation and body, anything else into title and text. */
export function analyse(document: RetrievalDocument): Analysed {
  const code = codeFields(document.text);
  const title = document.title ?? "";
  if (code === undefined) {
    return {
      fields: [weighted(title, 2), weighted(document.text, 1)],
      dense: (title === "" ? document.text : `${title}\n${document.text}`).slice(0, DENSE_PROSE),
      language: undefined,
    };
  }
  const name = identifierParts(code.name).join(" ").toLowerCase();
  return {
    fields: [
      weighted(code.name, 6),
      weighted(title, 1),
      weighted(code.summary, 3),
      weighted(code.documentation, 0.75),
      weighted(code.body, 0.75),
    ],
    dense: `${name}. ${code.summary.replaceAll(/\s+/g, " ").trim().slice(0, DENSE_SUMMARY)}`,
    language: code.language,
  };
}

/** The profile of most of the documents. */
export function profileOf(documents: Iterable<RetrievalDocument>): Profile {
  let code = 0;
  let all = 0;
  for (const document of documents) {
    all += 1;
    if (codeFields(document.text) !== undefined) code += 1;
  }
  return code * 2 > all ? "code" : "prose";
}

function weighted(text: string, weight: number): WeightedTokens {
  return { tokens: text === "" ? [] : tokenize(text), weight };
}

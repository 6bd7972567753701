import type { QueryTerm } from "../lexical/bm25.ts";
import { stem } from "../lexical/tokenize.ts";
import { SYNONYM_LINES } from "./synonym-lines.ts";

/** What a synonym counts beside the word itself. */
const COUNTS = 0.6;

const SYNONYMS = new Map<string, Set<string>>();
for (const line of SYNONYM_LINES.trim().split("\n")) {
  const words = line.split(" ").map(stem);
  for (const word of words) {
    const known = SYNONYMS.get(word) ?? new Set<string>();
    for (const other of words) if (other !== word) known.add(other);
    SYNONYMS.set(word, known);
  }
}

/** Each token (stemmed, of `tokenize`) with what programmers write for the same. */
export function withSynonyms(tokens: readonly string[]): QueryTerm[] {
  return tokens.map(
    (token) => new Map([[token, 1], ...[...(SYNONYMS.get(token) ?? [])].map((other): [string, number] => [other, COUNTS])]),
  );
}

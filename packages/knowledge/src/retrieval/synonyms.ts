import type { QueryTerm } from "../lexical/bm25.ts";
import { stem } from "../lexical/tokenize.ts";
import { SYNONYM_LINES } from "./synonym-lines.ts";

/** What a synonym counts beside the word itself. */
const COUNTS = 0.6;

let known: Map<string, Set<string>> | undefined;

/** Each token (stemmed, of `tokenize`) with what programmers write for the same. */
export function withSynonyms(tokens: readonly string[]): QueryTerm[] {
  // Stemming them all takes time that only who asks should wait for.
  known ??= synonyms();
  const of = (token: string): Iterable<string> => known?.get(token) ?? [];
  return tokens.map((token) => new Map([[token, 1], ...Array.from(of(token), (other): [string, number] => [other, COUNTS])]));
}

function synonyms(): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>();
  for (const line of SYNONYM_LINES.trim().split("\n")) {
    const words = line.split(" ").map(stem);
    for (const word of words) {
      const others = all.get(word) ?? new Set<string>();
      for (const other of words) if (other !== word) others.add(other);
      all.set(word, others);
    }
  }
  return all;
}

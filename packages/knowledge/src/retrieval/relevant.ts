import type { Hit } from "../lexical/bm25.ts";

/** A hit of the mix, with what each arm says of it by itself; undefined: the arm did not find it. */
export interface MixedHit extends Hit {
  /** BM25 score. */
  words?: number;
  /** Cosine of the vectors. */
  meaning?: number;
}

/** What matches by words this much less than the best is left out: something always resembles a question. */
const WORDS = 0.25;
/** Cosine from which a text without any of the question's words belongs to the answer, beside texts that have them. */
const BESIDE_WORDS = 0.5;
/** And where nothing has any of its words, when it is not much further than the nearest. Chosen for USE-Lite, whose texts of different matters stay below. */
const WITHOUT_WORDS = 0.35;
const NEAREST = 0.8;

/**
 * The hits that answer. Each is judged by its own arms, never by where it stands between what else has a vector yet: while the encoder is still at work
 * something may be missing that is meant, but nothing is found that would not be found afterwards.
 */
export function relevant<T extends MixedHit>(hits: readonly T[]): T[] {
  const best = Math.max(0, ...hits.map((hit) => hit.words ?? 0));
  const nearest = Math.max(0, ...hits.map((hit) => hit.meaning ?? 0));
  const alike = best > 0 ? BESIDE_WORDS : Math.max(WITHOUT_WORDS, NEAREST * nearest);
  return hits.filter(({ words = 0, meaning = -1 }) => (words > 0 && words >= WORDS * best) || meaning >= alike);
}

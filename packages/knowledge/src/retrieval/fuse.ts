import type { Hit } from "../lexical/bm25.ts";

/** An arm's hits, best first, and what the arm counts. */
export interface WeightedArm {
  hits: readonly Hit[];
  weight: number;
}

/**
 * One ranking of several: every arm's scores are brought to 0…1 between the worst and the best that it gave, and added by weight. What an arm did not find
 * counts nothing in it. (Reciprocal rank fusion, measured on the same development sets, loses to its better arm where one arm is weak: ranks
 * do not say how sure an arm is.)
 */
export function fuse(arms: readonly WeightedArm[]): Hit[] {
  const scores = new Map<string, number>();
  for (const { hits, weight } of arms) {
    const high = hits[0]?.score ?? 0;
    const low = hits.at(-1)?.score ?? 0;
    const range = high - low;
    for (const { id, score } of hits) {
      // The last of an arm still counts a little: it was found.
      const normal = range > 0 ? 0.02 + (0.98 * (score - low)) / range : 1;
      scores.set(id, (scores.get(id) ?? 0) + weight * normal);
    }
  }
  return [...scores].map(([id, score]) => ({ id, score })).toSorted((x, y) => y.score - x.score || (x.id < y.id ? -1 : 1));
}

/** Something to choose, with its relevance and what tells how like it is to another. */
export interface Candidate {
  id: string;
  score: number;
  tokens: ReadonlySet<string>;
}

/**
 * Maximal marginal relevance (Carbonell & Goldstein 1998): the best `limit`, each as relevant as may be and as unlike those chosen before as may be.
 * Likeness is the share of words in common, so it works without vectors. `trade` 1 is relevance alone.
 */
export function diversify<T extends Candidate>(candidates: readonly T[], limit: number, trade = 0.75): T[] {
  const high = Math.max(...candidates.map((one) => one.score), Number.MIN_VALUE);
  const left = new Map(candidates.map((one) => [one, 0]));
  const chosen: T[] = [];
  while (chosen.length < limit && left.size > 0) {
    let next: T | undefined;
    let value = -Infinity;
    for (const [candidate, likeness] of left) {
      const marginal = (trade * candidate.score) / high - (1 - trade) * likeness;
      if (marginal > value) [next, value] = [candidate, marginal];
    }
    if (next === undefined) break;
    chosen.push(next);
    left.delete(next);
    for (const [candidate, likeness] of left) left.set(candidate, Math.max(likeness, jaccard(candidate.tokens, next.tokens)));
  }
  return chosen;
}

/** Share of the words of both that they have in common; 0 of nothing. */
export function jaccard(x: ReadonlySet<string>, y: ReadonlySet<string>): number {
  if (x.size === 0 || y.size === 0) return 0;
  const [small, large] = x.size < y.size ? [x, y] : [y, x];
  let shared = 0;
  for (const one of small) if (large.has(one)) shared += 1;
  return shared / (x.size + y.size - shared);
}

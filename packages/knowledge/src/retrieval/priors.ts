import type { RetrievalDocument } from "./document.ts";

/** How far age, importance and use may move a score; each a share of it. */
export interface PriorWeights {
  recency: number;
  importance: number;
  use: number;
  /** Milliseconds in which recency halves. */
  halfLifeMs: number;
}

export const PRIORS: PriorWeights = { recency: 0.2, importance: 0.2, use: 0.1, halfLifeMs: 24 * 60 * 60 * 1000 };

/** Each between 0 and 1; 0.5 where nothing is known of importance, 0 of the rest. */
export interface PriorParts {
  recency: number;
  importance: number;
  use: number;
}

export function priorParts(document: RetrievalDocument, now: number, weights: PriorWeights = PRIORS): PriorParts {
  // A clock that was set back makes nothing newer than now.
  const age = document.at === undefined ? Infinity : Math.max(0, now - document.at);
  const uses = Math.max(0, document.uses ?? 0);
  return {
    recency: 2 ** (-age / weights.halfLifeMs),
    importance: Math.min(1, Math.max(0, document.importance ?? 0.5)),
    use: uses / (uses + 3),
  };
}

/** Between 1 and 1 + the sum of the weights: what is relevant by its words is never beaten by what is merely new by more than that. */
export function priorFactor(parts: PriorParts, weights: PriorWeights = PRIORS): number {
  return 1 + weights.recency * parts.recency + weights.importance * parts.importance + weights.use * parts.use;
}

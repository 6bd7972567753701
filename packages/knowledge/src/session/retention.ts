import { priorParts, type PriorWeights } from "../retrieval/priors.ts";
import type { Piece } from "./pieces.ts";

/** When pieces leave. */
export interface RetentionPolicy {
  /** Pieces and bytes of text that stay; beyond, the lowest scores leave. */
  maxItems: number;
  maxBytes: number;
  /** Pieces that were never used leave after this. */
  maxAgeMs: number;
}

export const RETENTION: RetentionPolicy = { maxItems: 4_000, maxBytes: 4 * 2 ** 20, maxAgeMs: 30 * 24 * 60 * 60 * 1000 };

const WEIGHTS: PriorWeights = { recency: 0.4, importance: 0.4, use: 0.2, halfLifeMs: 24 * 60 * 60 * 1000 };

/** Why a piece stays or goes. */
export interface Explanation {
  /** 0 to 1; use raises it, time lowers it. */
  score: number;
  parts: { recency: number; importance: number; use: number };
  /** `pinned`, `not synchronised yet`; empty: it stands by its score. */
  kept: string;
}

/** What keeps a piece whatever its score. */
export interface Holds {
  isUnsynchronised(id: string): boolean;
}

export function explain(piece: Piece, now: number, holds: Holds): Explanation {
  const parts = priorParts(piece, now, WEIGHTS);
  const score = WEIGHTS.recency * parts.recency + WEIGHTS.importance * parts.importance + WEIGHTS.use * parts.use;
  return { score, parts, kept: piece.pinned ? "pinned" : holds.isUnsynchronised(piece.id) ? "not synchronised yet" : "" };
}

/** Ids that leave under the policy, lowest score first. A little below the limits, so that not every piece starts it again. Pure. */
export function expired(pieces: Iterable<Piece>, policy: RetentionPolicy, now: number, holds: Holds): string[] {
  const scored = [...pieces].map((piece) => ({ piece, why: explain(piece, now, holds) }));
  const leaving: string[] = [];
  const staying: typeof scored = [];
  for (const one of scored) {
    const old = now - (one.piece.at ?? now) > policy.maxAgeMs && (one.piece.uses ?? 0) === 0;
    if (old && one.why.kept === "") leaving.push(one.piece.id);
    else staying.push(one);
  }
  let items = staying.length;
  let bytes = staying.reduce((sum, { piece }) => sum + piece.text.length, 0);
  if (items <= policy.maxItems && bytes <= policy.maxBytes) return leaving;
  const free = staying.filter((one) => one.why.kept === "").toSorted((x, y) => x.why.score - y.why.score || x.piece.seq - y.piece.seq);
  for (const { piece } of free) {
    if (items <= policy.maxItems * 0.97 && bytes <= policy.maxBytes * 0.97) break;
    leaving.push(piece.id);
    items -= 1;
    bytes -= piece.text.length;
  }
  return leaving;
}

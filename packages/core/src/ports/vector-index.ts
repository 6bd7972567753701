import type { EmbeddingModel } from "./embedder.ts";

export interface VectorHit {
  id: string;
  /** Cosine, −1 to 1. */
  score: number;
}

/**
 * Vectors of unit length by id, searched by cosine; the session's short-term memory stands on it. Never the only copy of anything: it can always be
 * filled again from the log.
 *
 * Promises of every implementation (vector-index.contract.ts): an id has one vector, the last one given; what was removed is not found again; hits come best
 * first, at most `limit`, from `allowed` alone where that is given; vectors of another dimension are refused with `failed_precondition`.
 */
export interface VectorIndex {
  readonly model: EmbeddingModel;
  /** Which implementation it is: `faiss`, `milvus`, `exact`. */
  readonly kind: string;
  size(): Promise<number>;
  /** `mark`: what the vector was made from, for those that keep it (`marks`). */
  add(items: ReadonlyArray<{ id: string; vector: Float32Array; mark?: string }>): Promise<void>;
  /** Of an index that outlives its process: the marks of those of the ids that it has, so that only what has changed is made again. */
  marks?(ids: readonly string[]): Promise<Map<string, string>>;
  remove(ids: readonly string[]): Promise<void>;
  search(query: Float32Array, limit: number, allowed?: ReadonlySet<string>): Promise<VectorHit[]>;
  /** Writes everything to a directory, so that `open` with it finds it again; atomic. */
  save(directory: string): Promise<void>;
  close(): Promise<void>;
}

/** What made a vector: vectors of different models or dimensions must never meet in one index. */
export interface EmbeddingModel {
  /** `use-lite`, `openai-compatible/<model>`, … */
  id: string;
  dimension: number;
}

/** Text to vectors of unit length, so that a dot product is a cosine. */
export interface Embedder {
  readonly model: EmbeddingModel;
  /**
   * One vector a text, in order; `dimension` numbers each. A text that is too long for the model counts by its beginning; an empty one is a zero vector.
   * Throws `unavailable` when the model cannot be reached, `failed_precondition` when it answers with another dimension.
   */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]>;
  close(): Promise<void>;
}

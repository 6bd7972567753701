import type { Embedder } from "@guildhall/core";

/** What an embedder has used since it was opened. */
export interface EmbeddingSpend {
  requests: number;
  /** As the service counted them; 0 where it does not say. */
  tokens: number;
  costUsd: number;
  /** The price is known: what runs on this machine costs nothing. */
  costKnown: boolean;
}

export interface MeteredEmbedder extends Embedder {
  spent(): EmbeddingSpend;
}

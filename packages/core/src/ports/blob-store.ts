import type { BlobRef } from "@guildhall/protocol";

export type BlobSource = Uint8Array | AsyncIterable<Uint8Array>;

/**
 * Content-addressed bytes. Writing the same content twice stores it once. `put` is durable when it resolves and never holds the
 * whole content in memory.
 */
export interface BlobStore {
  put(source: BlobSource, mediaType: string): Promise<BlobRef>;
  /** Throws `not_found`; `corrupt` when the bytes no longer match the digest (found at the end of a whole read). */
  get(digest: string, range?: { offset: number; length: number }): AsyncIterable<Uint8Array>;
  has(digest: string): Promise<boolean>;
  list(): AsyncIterable<{ digest: string; size: number }>;
  delete(digest: string): Promise<void>;
}

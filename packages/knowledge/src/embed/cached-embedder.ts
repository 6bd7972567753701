import { type Embedder, GuildError } from "@guildhall/core";

import { contentKey, type VectorStore } from "./vector-store.ts";

/** How often a text's vector was there already; counted per text. */
export interface EmbeddingCacheCounts {
  memoryHits: number;
  diskHits: number;
  misses: number;
}

export interface CachedEmbedder extends Embedder {
  counts(): EmbeddingCacheCounts;
}

export interface EmbeddingCacheOptions {
  /** Second level, which survives the process; closed with the embedder. */
  store?: VectorStore;
  /** Vectors kept in memory, the longest unused leaving first. Default 4,096 (8 MB at 512 numbers). */
  entries?: number;
}

/**
 * Never embeds a text twice: looks in memory, then on disk, and asks the model for the rest in one batch. Texts that are being embedded for somebody else are
 * waited for, not embedded again. Work under way goes on (and is kept) when the one who asked gives up.
 */
export function cachedEmbedder(inner: Embedder, options: EmbeddingCacheOptions = {}): CachedEmbedder {
  const { store, entries = 4_096 } = options;
  if (store !== undefined && (store.model.id !== inner.model.id || store.model.dimension !== inner.model.dimension)) {
    throw new GuildError("failed_precondition", `the cache holds vectors of ${store.model.id}, the embedder is ${inner.model.id}`);
  }
  const memory = new Map<string, Float32Array>();
  const underWay = new Map<string, Promise<Float32Array>>();
  const counts: EmbeddingCacheCounts = { memoryHits: 0, diskHits: 0, misses: 0 };

  function keep(key: string, vector: Float32Array): void {
    memory.delete(key);
    memory.set(key, vector);
    const oldest = memory.size > entries ? memory.keys().next() : undefined;
    if (oldest?.done === false) memory.delete(oldest.value);
  }

  async function find(wanted: ReadonlyMap<string, string>): Promise<Map<string, Float32Array>> {
    const missing = new Map(wanted);
    const found = new Map<string, Float32Array>();
    for (const key of wanted.keys()) {
      const vector = await store?.get(key);
      if (vector === undefined) continue;
      counts.diskHits += 1;
      found.set(key, vector);
      missing.delete(key);
    }
    counts.misses += missing.size;
    if (missing.size > 0) {
      const vectors = await inner.embed([...missing.values()]);
      const fresh = [...missing.keys()].map((key, at) => ({ key, vector: vectors[at] ?? new Float32Array(inner.model.dimension) }));
      for (const { key, vector } of fresh) found.set(key, vector);
      await store?.put(fresh);
    }
    for (const [key, vector] of found) keep(key, vector);
    return found;
  }

  return {
    model: inner.model,
    counts: () => ({ ...counts }),
    async embed(texts, signal) {
      signal?.throwIfAborted();
      const keys = texts.map(contentKey);
      const wanted = new Map<string, string>();
      const results = new Map<string, Float32Array | Promise<Float32Array>>();
      for (const [at, key] of keys.entries()) {
        if (wanted.has(key)) continue;
        const known = results.get(key) ?? memory.get(key) ?? underWay.get(key);
        if (known === undefined) {
          wanted.set(key, texts[at] ?? "");
          continue;
        }
        if (!results.has(key)) counts.memoryHits += 1;
        if (known instanceof Float32Array) keep(key, known);
        results.set(key, known);
      }
      if (wanted.size > 0) {
        const batch = find(wanted);
        for (const key of wanted.keys()) {
          const one = batch.then((found) => found.get(key) ?? new Float32Array(inner.model.dimension));
          underWay.set(key, one);
          results.set(key, one);
          const over = (): void => void underWay.delete(key);
          // The failure is the asker's to report, through `results`.
          one.then(over, over);
        }
      }
      const vectors = Promise.all(keys.map(async (key) => (await results.get(key)) ?? new Float32Array(inner.model.dimension)));
      return await untilAborted(vectors, signal);
    },
    async close() {
      await Promise.allSettled(underWay.values());
      await inner.close();
      await store?.close();
    },
  };
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

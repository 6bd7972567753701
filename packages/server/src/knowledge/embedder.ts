import { join } from "node:path";

import type { Embedder } from "@guildhall/core";
import type { CachedEmbedder } from "@guildhall/knowledge";

/** The embedder of this machine with its two caches: in memory, and below the data directory, so that no text is embedded twice. */
export async function openEmbedder(dataDir: string): Promise<CachedEmbedder> {
  const { cachedEmbedder, openVectorStore, useLiteEmbedder } = await import("@guildhall/knowledge");
  const inner: Embedder = useLiteEmbedder();
  return cachedEmbedder(inner, { store: await openVectorStore(join(dataDir, "embeddings"), inner.model) });
}

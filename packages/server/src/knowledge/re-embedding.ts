import { existsSync } from "node:fs";
import { join } from "node:path";

import { type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";

import type { Log } from "../daemon/log.ts";
import { type EmbedderDeps, indexedWith, openFormer, type OpenedEmbedder, USUAL_EMBEDDER, writeIndexedWith } from "./embedder.ts";
import type { GlobalVectors } from "./global-vectors.ts";

/** The embedder and the index of before, which answer while all is embedded anew. */
export interface FormerIndex {
  embedder: OpenedEmbedder;
  vectors: VectorIndex;
  /** The new index is whole: the old one is no longer asked. */
  replaced(): void;
}

/**
 * What the shared index has to do with the embedder that the settings name: nothing when it was made with it; else the one of before goes on answering until
 * every item has a new vector, and is then dropped. Where that one cannot be opened any more, words answer meanwhile.
 */
export async function formerIndex(
  deps: EmbedderDeps & { journal: Log },
  present: OpenedEmbedder,
  vectors: GlobalVectors,
): Promise<FormerIndex | undefined> {
  const { dataDir, journal } = deps;
  const made = { spec: present.spec, url: deps.settings().embedder_url, ...present.model };
  // Indices of before there was a choice were made with what comes along.
  const usual = { spec: USUAL_EMBEDDER, url: "", id: USUAL_EMBEDDER, dimension: 512 };
  const before = indexedWith(dataDir) ?? (existsSync(join(dataDir, "chroma")) ? usual : undefined);
  if (before === undefined || same(before, made)) {
    await writeIndexedWith(dataDir, made);
    return undefined;
  }
  const drop = async (former: EmbeddingModel): Promise<void> => {
    await writeIndexedWith(dataDir, made);
    await vectors.drop(former);
    journal.info(`knowledge: all items are embedded with ${made.id}; the vectors of ${former.id} are gone`);
  };
  const failed = (error: unknown): void => journal.warn(`knowledge: ${GuildError.from(error).line}`);
  journal.info(`knowledge: items are embedded anew with ${made.id} (${made.dimension}) instead of ${before.id} (${before.dimension})`);
  try {
    const embedder = await openFormer(deps, before);
    const old = vectors.index(before);
    return {
      embedder,
      vectors: old,
      replaced: () =>
        void drop(before)
          .then(() => embedder.close())
          .catch(failed),
    };
  } catch (error) {
    failed(error);
    await writeIndexedWith(dataDir, made);
    return undefined;
  }
}

function same(one: EmbeddingModel, other: EmbeddingModel): boolean {
  return one.id === other.id && one.dimension === other.dimension;
}

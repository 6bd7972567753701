import { join } from "node:path";

import type { EmbeddingModel, VectorIndex } from "@guildhall/core";

import { openExactIndex } from "./exact-index.ts";
import { type FaissAddon, loadFaiss, openFaissIndex } from "./faiss-index.ts";

/** Where `native/build.sh` puts the addon. */
export const FAISS_ADDON = join(import.meta.dirname, "../../build/faiss.node");

/** FAISS where it is built, else the exact scan; `kind` tells which. `addon` null asks for the scan. */
export function openVectorIndex(
  model: EmbeddingModel,
  options: { directory?: string; addon?: FaissAddon | null } = {},
): Promise<VectorIndex> {
  const addon = options.addon === undefined ? loadFaiss(FAISS_ADDON) : options.addon;
  return addon === undefined || addon === null ? openExactIndex(model, options.directory) : openFaissIndex(addon, model, options.directory);
}

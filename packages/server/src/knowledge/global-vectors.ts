import { existsSync } from "node:fs";
import { join } from "node:path";

import { type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { ChromaServer } from "@guildhall/knowledge";

import type { Log } from "../daemon/log.ts";

export interface GlobalVectorsOptions {
  tenant: string;
  model: EmbeddingModel;
  dataDir: string;
  runtimeDir: string;
  settings: Settings["knowledge"];
  journal: Log;
  /** All vectors are gone: whoever has the rows makes them again. */
  lost(): void;
}

/**
 * The vectors of what is shared: in Chroma, a child of ours or by its URL; where it cannot be had in an index in memory, and `kind` says so. Nothing is started before there is something to
 * keep or to be found.
 */
export function openGlobalVectors(options: GlobalVectorsOptions): VectorIndex {
  const { model, settings, dataDir } = options;
  const directory = join(dataDir, "chroma");
  let opening: Promise<Opened> | undefined;
  let kind =
    settings.vectors === "memory" ? "memory" : settings.chroma_url === "" ? "chroma (at rest)" : `chroma at ${settings.chroma_url}`;
  const open = async (): Promise<VectorIndex> => {
    opening ??= choose(options, directory).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    const { index } = await opening;
    kind = index.kind;
    return index;
  };
  const empty = (): boolean => opening === undefined && settings.chroma_url === "" && !existsSync(directory);
  return {
    model,
    get kind() {
      return kind;
    },
    size: async () => (empty() ? 0 : await (await open()).size()),
    add: async (items) => (items.length === 0 ? undefined : await (await open()).add(items)),
    async marks(ids) {
      if (empty()) return new Map();
      const index = await open();
      return (await index.marks?.(ids)) ?? new Map();
    },
    remove: async (ids) => (empty() || ids.length === 0 ? undefined : await (await open()).remove(ids)),
    search: async (query, limit, allowed) => (empty() ? [] : await (await open()).search(query, limit, allowed)),
    save: async (to) => await (await open()).save(to),
    async close() {
      const opened = await opening?.catch(() => undefined); // Whoever asked was told.
      await opened?.index.close();
      await opened?.server?.close();
    },
  };
}

interface Opened {
  index: VectorIndex;
  server?: ChromaServer;
}

async function choose(options: GlobalVectorsOptions, directory: string): Promise<Opened> {
  const { tenant, model, runtimeDir, settings, journal } = options;
  const { chromaClient, chromaServer, openChromaIndex, openVectorIndex } = await import("@guildhall/knowledge");
  const lost = (why: string): void => {
    journal.warn(`knowledge: the vectors are made again: ${why}`);
    options.lost();
  };
  const { chroma_url: url, chroma_token: token, chroma_tenant: chromaTenant, chroma_database: database } = settings;
  if (settings.vectors === "memory") return { index: await openVectorIndex(model) };
  if (url !== "")
    return { index: await openChromaIndex(chromaClient({ url, token, tenant: chromaTenant, database }), model, tenant, lost) };
  const server = chromaServer({ directory, runtimeDir, warn: (line) => journal.warn(`knowledge: ${line}`) });
  try {
    return { index: await openChromaIndex(server.client(), model, tenant, lost), server };
  } catch (error) {
    await server.close();
    journal.warn(`knowledge: vectors are in memory: ${GuildError.from(error).line}`);
    return { index: await openVectorIndex(model) };
  }
}

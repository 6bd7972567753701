import { existsSync } from "node:fs";
import { join } from "node:path";

import { type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { ChromaClient, ChromaServer } from "@guildhall/knowledge";

import type { Log } from "../daemon/log.ts";

export interface GlobalVectorsOptions {
  tenant: string;
  dataDir: string;
  runtimeDir: string;
  settings: Settings["knowledge"];
  journal: Log;
}

/** The vectors of what is shared, an index for each model. */
export interface GlobalVectors {
  /** `lost`: all vectors are gone, and whoever has the rows makes them again. */
  index(model: EmbeddingModel, lost?: () => void): VectorIndex;
  /** Gives up what is kept of a model. */
  drop(model: EmbeddingModel): Promise<void>;
  close(): Promise<void>;
}

/**
 * The vectors of what is shared: in Chroma, a child of ours or by its URL; where it cannot be had in an index in memory, and `kind` says so. Nothing is started before there is something to
 * keep or to be found.
 */
export function openGlobalVectors(options: GlobalVectorsOptions): GlobalVectors {
  const { tenant, settings, dataDir } = options;
  const directory = join(dataDir, "chroma");
  let opening: Promise<Place> | undefined;
  const indices: VectorIndex[] = [];
  const place = (): Promise<Place> =>
    (opening ??= choose(options, directory).catch((error: unknown) => {
      opening = undefined;
      throw error;
    }));
  const empty = (): boolean => opening === undefined && settings.chroma_url === "" && !existsSync(directory);
  return {
    index(model, lost = () => undefined) {
      const index = indexOf(model, { settings, empty, open: async () => await (await place()).open(model, lost) });
      indices.push(index);
      return index;
    },
    async drop(model) {
      if (empty()) return;
      const { dropChromaIndex } = await import("@guildhall/knowledge");
      const { client } = await place();
      if (client !== undefined) await dropChromaIndex(client, model, tenant);
    },
    async close() {
      for (const index of indices) await index.close();
      const opened = await opening?.catch(() => undefined); // Whoever asked was told.
      await opened?.server?.close();
    },
  };
}

function indexOf(
  model: EmbeddingModel,
  place: { settings: Settings["knowledge"]; empty(): boolean; open(): Promise<VectorIndex> },
): VectorIndex {
  const { settings, empty } = place;
  let opening: Promise<VectorIndex> | undefined;
  let kind =
    settings.vectors === "memory" ? "memory" : settings.chroma_url === "" ? "chroma (at rest)" : `chroma at ${settings.chroma_url}`;
  const open = async (): Promise<VectorIndex> => {
    opening ??= place.open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    const index = await opening;
    kind = index.kind;
    return index;
  };
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
      await opened?.close();
    },
  };
}

/** Where the indices are. */
interface Place {
  open(model: EmbeddingModel, lost: () => void): Promise<VectorIndex>;
  client?: ChromaClient;
  server?: ChromaServer;
}

async function choose(options: GlobalVectorsOptions, directory: string): Promise<Place> {
  const { tenant, runtimeDir, settings, journal } = options;
  const { chromaClient, chromaServer, openChromaIndex, openVectorIndex } = await import("@guildhall/knowledge");
  const told = (lost: () => void) => (why: string) => {
    journal.warn(`knowledge: the vectors are made again: ${why}`);
    lost();
  };
  const { chroma_url: url, chroma_token: token, chroma_tenant: chromaTenant, chroma_database: database } = settings;
  const inMemory = { open: (model: EmbeddingModel) => openVectorIndex(model) };
  if (settings.vectors === "memory") return inMemory;
  if (url !== "") {
    const client = chromaClient({ url, token, tenant: chromaTenant, database });
    return { client, open: (model, lost) => openChromaIndex(client, model, tenant, told(lost)) };
  }
  const server = chromaServer({ directory, runtimeDir, warn: (line) => journal.warn(`knowledge: ${line}`) });
  try {
    const client = server.client();
    await client.version();
    return { client, open: (model, lost) => openChromaIndex(client, model, tenant, told(lost)), server };
  } catch (error) {
    await server.close();
    journal.warn(`knowledge: vectors are in memory: ${GuildError.from(error).line}`);
    return inMemory;
  }
}

import { readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Clock, Embedder, EmbeddingModel } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { CachedEmbedder } from "@guildhall/knowledge";
import type { EmbeddingSpend } from "@guildhall/models";
import { z } from "zod";

/** The embedder that the settings name, with its two caches: in memory, and below the data directory, so that no text is embedded twice. */
export interface OpenedEmbedder extends CachedEmbedder {
  /** What it was named by. */
  readonly spec: string;
  spent(): EmbeddingSpend;
}

export interface EmbedderDeps {
  dataDir: string;
  clock: Pick<Clock, "now">;
  settings(): Pick<Settings["knowledge"], "embedder" | "embedder_url" | "embedder_dimension">;
  /** Provider keys of the settings. */
  keys(): Readonly<Record<string, string>>;
}

/** What comes with Guildhall, needs no network, and is taken unless the settings name another. */
export const USUAL_EMBEDDER = "use-lite";

/** The one that the settings name. Throws what the registry of models throws for a name, a key or a service that is not there. */
export function openEmbedder(deps: EmbedderDeps): Promise<OpenedEmbedder> {
  const { embedder, embedder_url: baseUrl, embedder_dimension: dimension } = deps.settings();
  return openNamed(deps, embedder, baseUrl, dimension);
}

/** Another one, known by what an index says of it: nobody is asked for its dimension. */
export function openFormer(deps: EmbedderDeps, former: IndexedWith): Promise<OpenedEmbedder> {
  return openNamed(deps, former.spec, former.url, former.dimension);
}

/** The one that the settings name, without its caches: what it answers is its own answer. */
export function openUncached(deps: EmbedderDeps): Promise<Embedder> {
  const { embedder, embedder_url: baseUrl, embedder_dimension: dimension } = deps.settings();
  return openInner(deps, embedder, baseUrl, dimension);
}

async function openInner(
  { dataDir, clock, keys }: EmbedderDeps,
  spec: string,
  baseUrl: string,
  dimension: number,
): Promise<Embedder & { spent?(): EmbeddingSpend }> {
  if (spec === USUAL_EMBEDDER) return (await import("@guildhall/knowledge")).useLiteEmbedder();
  const known = indexedWith(dataDir);
  const remembered = known?.spec === spec && known.url === baseUrl ? known.dimension : undefined;
  const { createEmbedderProvider } = await import("@guildhall/models");
  return createEmbedderProvider({ clock, random: Math.random }).open({
    spec,
    credentials: keys(),
    ...(baseUrl === "" ? {} : { baseUrl }),
    ...(dimension > 0 ? { dimension } : remembered === undefined ? {} : { dimension: remembered }),
  });
}

async function openNamed(deps: EmbedderDeps, spec: string, baseUrl: string, dimension: number): Promise<OpenedEmbedder> {
  const { cachedEmbedder, openVectorStore } = await import("@guildhall/knowledge");
  const inner = await openInner(deps, spec, baseUrl, dimension);
  const cached = cachedEmbedder(inner, { store: await openVectorStore(join(deps.dataDir, "embeddings"), inner.model) });
  return { ...cached, spec, spent: () => inner.spent?.() ?? { requests: 0, tokens: 0, costUsd: 0, costKnown: true } };
}

/** What the vectors of the shared index were made with: kept beside it, so that a change is noticed. */
export interface IndexedWith extends EmbeddingModel {
  spec: string;
  url: string;
}

const indexedSchema = z.strictObject({ spec: z.string(), url: z.string(), id: z.string(), dimension: z.int().min(1) });

/** Undefined where nothing was indexed yet, or what is written there cannot be read: then the index is made anew. */
export function indexedWith(dataDir: string): IndexedWith | undefined {
  try {
    return indexedSchema.parse(JSON.parse(readFileSync(fileOf(dataDir), "utf8")));
  } catch {
    return undefined;
  }
}

export async function writeIndexedWith(dataDir: string, made: IndexedWith): Promise<void> {
  await mkdir(join(dataDir, "knowledge"), { recursive: true, mode: 0o700 });
  const temporary = `${fileOf(dataDir)}.${process.pid}`;
  await writeFile(temporary, JSON.stringify(made), { mode: 0o600 });
  await rename(temporary, fileOf(dataDir));
}

function fileOf(dataDir: string): string {
  return join(dataDir, "knowledge", "embedder.json");
}

/** How an embedder is told to people. */
export function embedderInWords(model: EmbeddingModel, spec: string): string {
  return spec === USUAL_EMBEDDER ? `${model.id} (${model.dimension} numbers, on this machine)` : `${spec} (${model.dimension} numbers)`;
}

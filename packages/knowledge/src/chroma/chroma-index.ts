import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type EmbeddingModel, GuildError, type VectorHit, type VectorIndex } from "@guildhall/core";

import { checkDimension } from "../vectors/saved-index.ts";
import type { ChromaClient } from "./chroma-client.ts";

/** Gives up a model's collection, whether there is one or not. */
export async function dropChromaIndex(client: ChromaClient, model: EmbeddingModel, name: string): Promise<void> {
  await client.drop(titleOf(model, name));
}

function titleOf(model: EmbeddingModel, name: string): string {
  const digest = createHash("sha256").update(`${name}\0${model.id}\0${model.dimension}`).digest("hex");
  return `guildhall-${digest.slice(0, 40)}`;
}

/**
 * Vectors in a collection of Chroma, one a tenant and model: `name` tells tenants apart, and a model's vectors never meet another's. Chroma's search is approximate (HNSW); where few
 * vectors are allowed they are compared one by one. Never the only copy: it is filled again from the rows.
 */
export async function openChromaIndex(
  client: ChromaClient,
  model: EmbeddingModel,
  name: string,
  /** All vectors are gone, or were another model's and were dropped: whoever has the rows fills it again. */
  lost: (why: string) => void = () => undefined,
): Promise<VectorIndex> {
  const title = titleOf(model, name);
  const open = () => client.collection(title, { model: model.id, dimension: model.dimension });
  let collection = await open();
  let beginning: Promise<void> | undefined;
  if (collection.metadata["dimension"] !== model.dimension || collection.metadata["model"] !== model.id)
    await begin(collection.id, "it held vectors of another model");
  const version = await client.version();
  /** What the next message brings: the last that was asked for each id; undefined: it goes. Small changes travel together. */
  let pending = new Map<string, Change | undefined>();
  let changes: Promise<unknown> = Promise.resolve();
  let next: Promise<void> | undefined;

  function change(items: Iterable<readonly [string, Change | undefined]>): Promise<void> {
    for (const [id, to] of items) pending.set(id, to);
    next ??= changes.then(async () => {
      const batch = pending;
      pending = new Map();
      next = undefined;
      const added = [...batch].flatMap(([id, to]) => (to === undefined ? [] : [{ id, ...to }]));
      const removed = [...batch].flatMap(([id, to]) => (to === undefined ? [id] : []));
      if (added.length > 0) await again(() => client.upsert(collection.id, added));
      if (removed.length > 0) await again(() => client.remove(collection.id, removed));
    });
    // Whoever asked is told; those behind go on all the same.
    changes = next.catch(() => undefined);
    return next;
  }

  /** Drops the collection that failed and begins anew; once for all that fail with it. */
  async function begin(failed: string, why: string): Promise<void> {
    if (collection.id !== failed) return;
    beginning ??= (async () => {
      await client.drop(title);
      collection = await open();
      lost(why);
    })().finally(() => (beginning = undefined));
    await beginning;
  }

  /** A directory that was put back or cleared has lost the collection; one that somebody else wrote to may have another dimension. It is made anew, and filled by what comes. */
  async function again<T>(work: () => Promise<T>): Promise<T> {
    const { id } = collection;
    try {
      return await work();
    } catch (error) {
      if (GuildError.is(error, "not_found")) await begin(id, "its collection was gone");
      else if (GuildError.is(error, "failed_precondition") && /dimension/i.test(error.message))
        await begin(id, "its vectors had another dimension");
      else throw error;
      return await work();
    }
  }

  return {
    model,
    kind: `chroma ${version}`,
    async size() {
      await changes;
      return await again(() => client.count(collection.id));
    },
    async add(items) {
      checkDimension(
        model,
        items.map((item) => item.vector),
      );
      await change(items.map(({ id, ...to }) => [id, to] as const));
    },
    async marks(ids) {
      await changes;
      return await again(() => client.marks(collection.id, ids));
    },
    async remove(ids) {
      if (ids.length > 0) await change(ids.map((id) => [id, undefined] as const));
    },
    async search(query, limit, allowed): Promise<VectorHit[]> {
      checkDimension(model, [query]);
      if (limit <= 0 || allowed?.size === 0) return [];
      await changes;
      if (allowed !== undefined) {
        // Its own search among ids fails where some are unknown: few are compared here.
        const few = await again(() => client.vectors(collection.id, [...allowed]));
        const scored = few.map(({ id, vector }) => ({ id, score: vector.reduce((sum, value, at) => sum + value * (query[at] ?? 0), 0) }));
        return scored.toSorted((x, y) => y.score - x.score).slice(0, limit);
      }
      const count = await again(() => client.count(collection.id));
      if (count === 0) return [];
      const hits = await again(() => client.query(collection.id, query, Math.min(limit, count)));
      return hits.map(({ id, distance }) => ({ id, score: 1 - distance })).toSorted((x, y) => y.score - x.score);
    },
    async save(directory) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(join(directory, "chroma.json"), JSON.stringify({ name, model }), { mode: 0o600 });
    },
    async close() {
      await changes;
    },
  };
}

interface Change {
  vector: Float32Array;
  mark?: string;
}

import { createRequire } from "node:module";
import { join } from "node:path";

import { type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";

import { checkDimension, readSaved, writeSaved } from "./saved-index.ts";

/** The native addon (`native/faiss.cc`). */
export interface FaissAddon {
  FaissIndex: new (dimension: number, lists: number) => FaissNative;
}

interface FaissNative {
  readonly size: number;
  train(vectors: Float32Array): Promise<void>;
  add(labels: BigInt64Array, vectors: Float32Array): Promise<void>;
  remove(labels: BigInt64Array): Promise<number>;
  search(
    query: Float32Array,
    limit: number,
    allowed: BigInt64Array | undefined,
    probes: number,
  ): Promise<{ ids: BigInt64Array; scores: Float32Array }>;
  invert(lists: number, recall: number): Promise<number>;
  save(path: string): Promise<void>;
  load(path: string): Promise<void>;
}

/** Undefined where it was not built: use the exact scan and say so. Throws `unsupported` for a file that does not load here. */
export function loadFaiss(path: string): FaissAddon | undefined {
  try {
    return createRequire(import.meta.url)(path) as FaissAddon;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND") return undefined;
    throw new GuildError("unsupported", "the FAISS addon does not load", {
      subject: path,
      remedy: "run packages/knowledge/native/build.sh again",
      cause: error,
    });
  }
}

export interface FaissOptions {
  /** From so many vectors on the index is inverted (IVF): approximate, and ten times as fast. Default 50,000. */
  invertFrom?: number;
}

/** The few that are allowed may lie anywhere. */
const EVERY_LIST = 1 << 30;

/** Recall at 10 against the exact index that the number of probes is chosen for; the promise is 0.95. */
const RECALL = 0.98;

/**
 * FAISS `IDMap2,Flat`: exact, removable, searched on libuv's threads, so the event loop goes on. About 6 ms at 10,000 × 512 on one core. A large one
 * becomes IVF in the background, once; changes made meanwhile are found when it is over. Otherwise a search sees every change that was asked for
 * before it.
 */
export async function openFaissIndex(
  addon: FaissAddon,
  model: EmbeddingModel,
  directory?: string,
  options: FaissOptions = {},
): Promise<VectorIndex> {
  const { invertFrom = 50_000 } = options;
  const index = new addon.FaissIndex(model.dimension, 0);
  const labels = new Map<string, bigint>();
  const ids = new Map<bigint, string>();
  let next = 0n;
  /** Changes run one after another: the pool's threads would not keep their order. */
  let changes: Promise<unknown> = Promise.resolve();
  let inverting: Promise<void> | undefined;
  /** Lists that a search looks into; 0: the index is exact. */
  let probes = 0;
  /** Vectors when it was inverted last. */
  let inverted = 0;

  const saved = directory === undefined ? undefined : await readSaved(directory, "faiss", model);
  if (saved !== undefined && directory !== undefined) {
    await index.load(join(directory, saved.data)).catch((error: unknown) => {
      throw new GuildError("corrupt", "the saved index cannot be read", {
        subject: directory,
        remedy: "delete it: it is filled again from the log",
        cause: error,
      });
    });
    for (const [at, id] of saved.ids.entries()) label(id, BigInt(saved.labels?.[at] ?? at));
    probes = saved.probes ?? 0;
    inverted = probes > 0 ? saved.ids.length : 0;
  }

  function label(id: string, given?: bigint): bigint {
    const known = labels.get(id);
    if (known !== undefined) return known;
    const fresh = given ?? next;
    if (fresh >= next) next = fresh + 1n;
    labels.set(id, fresh);
    ids.set(fresh, id);
    return fresh;
  }

  function change<T>(work: () => Promise<T>): Promise<T> {
    const result = changes.then(work, work);
    // Whoever asked for it is told; those behind it go on all the same.
    changes = result.catch(() => undefined);
    return result;
  }

  /** Changes wait for it, searches do not. */
  function invertWhenLarge(): void {
    if (inverted > 0 || labels.size < invertFrom) return;
    inverted = labels.size;
    const lists = Math.round(4 * Math.sqrt(labels.size));
    inverting = change(() => index.invert(lists, RECALL))
      .then(
        (found) => void (probes = found),
        // It stays exact, which is slower and right.
        () => undefined,
      )
      .finally(() => (inverting = undefined));
  }

  return {
    model,
    kind: "faiss",
    async size() {
      await changes;
      return index.size;
    },
    async add(items) {
      checkDimension(
        model,
        items.map((item) => item.vector),
      );
      // One vector an id, the last given: the index itself would store both.
      const last = new Map(items.map((item) => [item.id, item.vector]));
      const vectors = new Float32Array(last.size * model.dimension);
      const added = BigInt64Array.from([...last.keys()], (id) => label(id));
      for (const [at, vector] of [...last.values()].entries()) vectors.set(vector, at * model.dimension);
      const done = change(() => index.add(added, vectors));
      invertWhenLarge();
      await done;
    },
    async remove(removed) {
      const known = removed.flatMap((id) => labels.get(id) ?? []);
      for (const id of removed) {
        const old = labels.get(id);
        if (old !== undefined) ids.delete(old);
        labels.delete(id);
      }
      if (known.length > 0) await change(() => index.remove(BigInt64Array.from(known)));
    },
    async search(query, limit, allowed) {
      checkDimension(model, [query]);
      const among = allowed === undefined ? undefined : BigInt64Array.from([...allowed].flatMap((id) => labels.get(id) ?? []));
      if (among?.length === 0) return [];
      // Turning into IVF changes nothing that can be found.
      if (inverting === undefined) await changes;
      const found = await index.search(
        query,
        Math.min(limit, among?.length ?? limit),
        among,
        among === undefined ? Math.max(1, probes) : EVERY_LIST,
      );
      return [...found.ids].flatMap((one, at) => {
        const id = ids.get(one);
        // Removed while the search ran.
        return id === undefined ? [] : [{ id, score: found.scores[at] ?? 0 }];
      });
    },
    save: (to) =>
      change(() => {
        const all = [...labels];
        const described = { kind: "faiss", model, ids: all.map(([id]) => id), labels: all.map(([, one]) => String(one)), probes };
        return writeSaved(to, described, (path) => index.save(path));
      }),
    async close() {
      await changes;
    },
  };
}

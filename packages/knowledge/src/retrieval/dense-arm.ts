import { createHash } from "node:crypto";

import type { Embedder, VectorIndex } from "@guildhall/core";

import type { Hit } from "../lexical/bm25.ts";
import type { RetrievalDocument } from "./document.ts";
import { meaningWeight, REACH } from "./fields.ts";
import type { Threads } from "./threads.ts";

/** Documents that go to the embedder at once. */
const BATCH = 64;
/** Documents of which it is asked at once whether their vectors are there already. */
const ASKED = 1_000;

interface Waiting {
  document: RetrievalDocument;
  text: string;
  /** The index has been asked whether its vector is there. */
  asked: boolean;
}

interface Fresh {
  vector: Float32Array;
  mark: string;
}

/** Keeps a vector index in step with the documents, behind the lexical one by what the embedder needs. */
export class DenseArm {
  readonly #embedder: Embedder;
  readonly #vectors: VectorIndex;
  readonly #threads: Threads;
  /** Waiting to be embedded, in order. */
  readonly #waiting = new Map<string, Waiting>();
  /** Own vectors of pieces of threads: a neighbour's coming changes how they are mixed, not them. */
  readonly #own = new Map<string, { document: RetrievalDocument; vector: Float32Array }>();
  readonly #pace: () => Promise<void>;
  #work: Promise<void> | undefined;

  constructor(embedder: Embedder, vectors: VectorIndex, threads: Threads, pace: () => Promise<void>) {
    this.#pace = pace;
    this.#embedder = embedder;
    this.#vectors = vectors;
    this.#threads = threads;
  }

  get lag(): number {
    return this.#waiting.size;
  }

  add(document: RetrievalDocument, text: string): void {
    this.#waiting.set(document.id, { document, text, asked: false });
    // Whoever waits for it (`settled`) is told of a failure; until then the documents stay waiting.
    this.settled().catch(() => undefined);
  }

  async remove(ids: readonly string[]): Promise<void> {
    const around = new Set<string>();
    for (const id of ids) {
      this.#waiting.delete(id);
      const own = this.#own.get(id);
      this.#own.delete(id);
      if (own !== undefined) for (const one of this.#threads.around(own.document, REACH)) around.add(one.id);
    }
    await this.#vectors.remove(ids);
    await this.#store(around, new Map());
  }

  settled(): Promise<void> {
    this.#work ??= this.#embedWaiting().finally(() => (this.#work = undefined));
    return this.#work;
  }

  async search(query: string, limit: number, accept?: (id: string) => boolean, signal?: AbortSignal): Promise<Hit[]> {
    const [vector] = await this.#embedder.embed([query], signal);
    if (vector === undefined) return [];
    if (accept === undefined) return await this.#vectors.search(vector, limit);
    const size = await this.#vectors.size();
    for (let wanted = limit * 2; ; wanted *= 4) {
      const found = await this.#vectors.search(vector, Math.min(wanted, size));
      const hits = found.filter((hit) => accept(hit.id)).slice(0, limit);
      if (hits.length >= limit || wanted >= size) return hits;
    }
  }

  async #embedWaiting(): Promise<void> {
    // Documents that are added in one go are embedded together.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      await this.#pace();
      await this.#passKnown();
      const batch = firstOf(this.#waiting.values(), BATCH);
      if (batch.length === 0) return;
      const vectors = await this.#embedder.embed(batch.map((one) => one.text));
      const fresh = new Map<string, Fresh>();
      const touched = new Set<string>();
      for (const [at, one] of batch.entries()) {
        const { id } = one.document;
        const vector = vectors[at];
        // Removed or replaced meanwhile.
        if (vector === undefined || this.#waiting.get(id) !== one) continue;
        this.#waiting.delete(id);
        fresh.set(id, { vector, mark: markOf(one.text) });
        touched.add(id);
        if (one.document.thread === undefined || one.document.order === undefined) continue;
        this.#own.set(id, { document: one.document, vector });
        for (const neighbour of this.#threads.around(one.document, REACH)) touched.add(neighbour.id);
      }
      await this.#store(touched, fresh);
    }
  }

  /** An index that outlives its process has most vectors already: what has not changed since waits no longer. */
  async #passKnown(): Promise<void> {
    if (this.#vectors.marks === undefined) return;
    const asked = firstOf(this.#unasked(), ASKED);
    if (asked.length === 0) return;
    const known = await this.#vectors.marks?.(asked.map((one) => one.document.id));
    for (const one of asked) {
      one.asked = true;
      const { id } = one.document;
      if (this.#waiting.get(id) === one && known?.get(id) === markOf(one.text)) this.#waiting.delete(id);
    }
  }

  /** Vectors of pieces of threads depend on their neighbours: they are always made. */
  *#unasked(): Generator<Waiting> {
    for (const one of this.#waiting.values()) if (!one.asked && one.document.thread === undefined) yield one;
  }

  async #store(ids: Iterable<string>, fresh: ReadonlyMap<string, Fresh>): Promise<void> {
    const items: Array<{ id: string; vector: Float32Array; mark?: string }> = [];
    for (const id of ids) {
      const own = this.#own.get(id);
      const made = own === undefined ? fresh.get(id) : { vector: this.#withNeighbours(own.document, own.vector) };
      if (made !== undefined) items.push({ id, ...made });
    }
    if (items.length > 0) await this.#vectors.add(items);
  }

  #withNeighbours(document: RetrievalDocument, own: Float32Array): Float32Array {
    const mixed = Float32Array.from(own);
    for (const neighbour of this.#threads.around(document, REACH)) {
      const vector = this.#own.get(neighbour.id)?.vector;
      const weight = meaningWeight(neighbour);
      if (vector === undefined) continue;
      for (let at = 0; at < mixed.length; at += 1) mixed[at] = (mixed[at] ?? 0) + weight * (vector[at] ?? 0);
    }
    let square = 0;
    for (const value of mixed) square += value * value;
    const length = Math.sqrt(square);
    return length > 0 ? mixed.map((value) => value / length) : mixed;
  }
}

/** Of what a vector is made; the model is the index's own. */
function markOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 22);
}

function firstOf<T>(values: Iterable<T>, count: number): T[] {
  const found: T[] = [];
  for (const value of values) {
    if (found.length === count) break;
    found.push(value);
  }
  return found;
}

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { EmbeddingModel, VectorHit, VectorIndex } from "@guildhall/core";

import { checkDimension, readSaved, writeSaved } from "./saved-index.ts";

/** Compares with every vector, in JavaScript: what serves where FAISS is not built. About 5 ms at 10,000 × 512. */
export async function openExactIndex(model: EmbeddingModel, directory?: string): Promise<VectorIndex> {
  const { dimension } = model;
  const rows = new Map<string, number>();
  let ids: string[] = [];
  let data = new Float32Array(64 * dimension);

  const saved = directory === undefined ? undefined : await readSaved(directory, "exact", model);
  if (saved !== undefined && directory !== undefined) {
    const bytes = await readFile(join(directory, saved.data));
    data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    ids = saved.ids;
    for (const [row, id] of ids.entries()) rows.set(id, row);
  }

  function put(id: string, vector: Float32Array): void {
    let row = rows.get(id);
    if (row === undefined) {
      row = ids.push(id) - 1;
      rows.set(id, row);
      if (row * dimension >= data.length) {
        const larger = new Float32Array(Math.max(64, row * 2) * dimension);
        larger.set(data);
        data = larger;
      }
    }
    data.set(vector, row * dimension);
  }

  /** The last row moves into the gap. */
  function drop(id: string): void {
    const row = rows.get(id);
    const last = ids.pop();
    if (row === undefined || last === undefined) {
      if (last !== undefined) ids.push(last);
      return;
    }
    rows.delete(id);
    if (last === id) return;
    data.copyWithin(row * dimension, ids.length * dimension, (ids.length + 1) * dimension);
    ids[row] = last;
    rows.set(last, row);
  }

  function score(query: Float32Array, row: number): number {
    let sum = 0;
    for (let at = 0, from = row * dimension; at < dimension; at += 1) sum += (query[at] ?? 0) * (data[from + at] ?? 0);
    return sum;
  }

  return {
    model,
    kind: "exact",
    size: () => Promise.resolve(ids.length),
    async add(items) {
      checkDimension(
        model,
        items.map((item) => item.vector),
      );
      for (const { id, vector } of items) put(id, vector);
    },
    async remove(removed) {
      for (const id of removed) drop(id);
    },
    async search(query, limit, allowed) {
      checkDimension(model, [query]);
      const candidates = allowed === undefined ? ids.keys() : [...allowed].flatMap((id) => rows.get(id) ?? []);
      const hits: VectorHit[] = [];
      for (const row of candidates) hits.push({ id: ids[row] ?? "", score: score(query, row) });
      return hits.toSorted((x, y) => y.score - x.score).slice(0, limit);
    },
    save: (to) =>
      writeSaved(to, { kind: "exact", model, ids }, (path) => writeFile(path, new Uint8Array(data.buffer, 0, ids.length * dimension * 4))),
    close: () => Promise.resolve(),
  };
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Embedder, EmbeddingModel } from "@guildhall/core";

import { openExactIndex } from "../vectors/exact-index.ts";
import { HybridIndex } from "./hybrid-index.ts";

describe("the hybrid index after a change of model", () => {
  it("asks the index of before until every document has a vector of the new model", async () => {
    const before = { id: "before", dimension: 3 };
    const embedderOf = (model: EmbeddingModel, hold: Promise<void>): Embedder & { asked: string[] } => {
      const asked: string[] = [];
      return {
        model,
        asked,
        async embed(texts) {
          asked.push(...texts);
          if (texts.length > 1) await hold;
          return texts.map((text) => Float32Array.from({ length: model.dimension }, (_, at) => (at === text.length % 2 ? 1 : 0)));
        },
        close: () => Promise.resolve(),
      };
    };
    const held = Promise.withResolvers<void>();
    const [old, fresh] = [embedderOf(before, Promise.resolve()), embedderOf({ id: "after", dimension: 4 }, held.promise)];
    const vectors = await openExactIndex(before);
    await vectors.add([{ id: "b", vector: Float32Array.from([1, 0, 0]) }]);
    let replaced = 0;
    const index = new HybridIndex({
      profile: "prose",
      embedder: fresh,
      vectors: await openExactIndex(fresh.model),
      former: { embedder: old, vectors, replaced: () => void (replaced += 1) },
    });
    index.add([
      { id: "a", text: "one" },
      { id: "b", text: "four" },
    ]);
    const dense = async () => (await index.search("an even question", { limit: 1, arm: "dense" })).hits.map((hit) => hit.id);
    assert.deepEqual(await dense(), ["b"]);
    assert.deepEqual([index.answering, index.lag, replaced], [before, 2, 0]);
    assert.equal(fresh.asked.includes("an even question"), false);
    held.resolve();
    await index.settled();
    assert.deepEqual([index.answering, index.lag, replaced], [undefined, 0, 1]);
    await dense();
    assert.ok(fresh.asked.includes("an even question"));
    assert.equal(replaced, 1);
  });
});

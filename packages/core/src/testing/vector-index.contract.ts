import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import type { EmbeddingModel } from "../ports/embedder.ts";
import type { VectorIndex } from "../ports/vector-index.ts";
import { seededRandom } from "./random.ts";

/** `open` gives an index for the model: empty, or what `save` wrote to the directory. */
export function vectorIndexContract(name: string, open: (model: EmbeddingModel, directory?: string) => Promise<VectorIndex>): void {
  const model: EmbeddingModel = { id: "test", dimension: 16 };

  describe(`${name} as a vector index`, () => {
    it("finds the nearest first, as a plain scan does (seed 1)", async () => {
      const index = await open(model);
      const vectors = randomVectors(500, model.dimension, 1);
      await index.add(vectors.map((vector, at) => ({ id: `v${at}`, vector })));
      for (const query of randomVectors(20, model.dimension, 2)) {
        const expected = vectors.map((vector, at) => ({ id: `v${at}`, score: dot(query, vector) })).toSorted((x, y) => y.score - x.score);
        const hits = await index.search(query, 5);
        assert.deepEqual(
          hits.map((hit) => hit.id),
          expected.slice(0, 5).map((hit) => hit.id),
        );
        assert.ok(Math.abs((hits[0]?.score ?? 0) - (expected[0]?.score ?? 0)) < 1e-5);
      }
      await index.close();
    });

    it("keeps one vector an id, forgets what is removed, and takes ids again", async () => {
      const index = await open(model);
      const [first, second] = randomVectors(2, model.dimension, 3) as [Float32Array, Float32Array];
      await index.add([
        { id: "a", vector: first },
        { id: "b", vector: second },
      ]);
      await index.add([{ id: "a", vector: second }]);
      assert.equal(await index.size(), 2);
      const [best] = await index.search(first, 1);
      assert.ok((best?.score ?? 1) < 0.99, "the former vector of a is gone");
      await index.remove(["a", "never there"]);
      assert.deepEqual(
        (await index.search(second, 5)).map((hit) => hit.id),
        ["b"],
      );
      await index.add([{ id: "a", vector: first }]);
      assert.equal((await index.search(first, 1))[0]?.id, "a");
      await index.close();
    });

    it("searches among the allowed only", async () => {
      const index = await open(model);
      const vectors = randomVectors(100, model.dimension, 4);
      await index.add(vectors.map((vector, at) => ({ id: `v${at}`, vector })));
      const hits = await index.search(vectors[7] ?? new Float32Array(), 10, new Set(["v3", "v50", "unknown"]));
      assert.deepEqual(hits.map((hit) => hit.id).toSorted(), ["v3", "v50"]);
      assert.deepEqual(await index.search(vectors[7] ?? new Float32Array(), 10, new Set()), []);
      await index.close();
    });

    it("is found again as it was saved", async () => {
      const directory = await mkdtemp(join(tmpdir(), "guild-index-"));
      const index = await open(model);
      const vectors = randomVectors(50, model.dimension, 5);
      await index.add(vectors.map((vector, at) => ({ id: `v${at}`, vector })));
      await index.remove(["v1"]);
      await index.save(directory);
      await index.close();
      const again = await open(model, directory);
      assert.equal(await again.size(), 49);
      assert.equal((await again.search(vectors[2] ?? new Float32Array(), 1))[0]?.id, "v2");
      await again.add([{ id: "new", vector: vectors[1] ?? new Float32Array() }]);
      assert.equal((await again.search(vectors[1] ?? new Float32Array(), 1))[0]?.id, "new");
      await again.close();
      await assert.rejects(open({ id: "another", dimension: model.dimension }, directory), (error) =>
        GuildError.is(error, "failed_precondition"),
      );
      await rm(directory, { recursive: true });
    });

    it("refuses another dimension, and answers an empty index with nothing", async () => {
      const index = await open(model);
      assert.deepEqual(await index.search(new Float32Array(model.dimension), 3), []);
      const refused = (error: unknown): boolean => GuildError.is(error, "failed_precondition");
      await assert.rejects(index.add([{ id: "a", vector: new Float32Array(3) }]), refused);
      await assert.rejects(index.search(new Float32Array(3), 1), refused);
      await index.close();
    });

    it("serves searches while it is added to and removed from", async () => {
      const index = await open(model);
      const vectors = randomVectors(300, model.dimension, 6);
      const query = vectors[0] ?? new Float32Array();
      await index.add([{ id: "v0", vector: query }]);
      const changes = vectors.slice(1).map(async (vector, at) => {
        await index.add([{ id: `v${at + 1}`, vector }]);
        if (at % 3 === 0) await index.remove([`v${at + 1}`]);
      });
      const searches = Array.from({ length: 50 }, async () => assert.equal((await index.search(query, 1))[0]?.id, "v0"));
      await Promise.all([...changes, ...searches]);
      assert.equal(await index.size(), 300 - 100);
      await index.close();
    });
  });
}

function randomVectors(count: number, dimension: number, seed: number): Float32Array[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const vector = Float32Array.from({ length: dimension }, () => random.next() - 0.5);
    const length = Math.hypot(...vector);
    return vector.map((value) => value / length);
  });
}

function dot(x: Float32Array, y: Float32Array): number {
  return x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
}

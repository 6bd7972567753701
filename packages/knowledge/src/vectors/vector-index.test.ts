import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { seededRandom, vectorIndexContract } from "@guildhall/core/testing";

import { openExactIndex } from "./exact-index.ts";
import { loadFaiss, openFaissIndex } from "./faiss-index.ts";
import { FAISS_ADDON, openVectorIndex } from "./open-index.ts";

const addon = loadFaiss(FAISS_ADDON);

vectorIndexContract("the exact scan", openExactIndex);
if (addon !== undefined) vectorIndexContract("FAISS", (model, directory) => openFaissIndex(addon, model, directory));

describe("a large FAISS index", () => {
  it("is inverted and still finds what the exact one finds, forgets and is saved (seed 11)", async () => {
    assert.ok(addon !== undefined);
    const model = { id: "test", dimension: 32 };
    const random = seededRandom(11);
    const centres = Array.from({ length: 40 }, () => unit(Array.from({ length: 32 }, () => random.next() - 0.5)));
    const near = () => unit([...random.pick(centres)].map((value) => value + (random.next() - 0.5) * 0.3));
    const items = Array.from({ length: 4_000 }, (_, at) => ({ id: `v${at}`, vector: near() }));
    const [large, exact] = [await openFaissIndex(addon, model, undefined, { invertFrom: 3_000 }), await openExactIndex(model)];
    for (const index of [large, exact]) {
      for (let from = 0; from < items.length; from += 500) await index.add(items.slice(from, from + 500));
      await index.remove(items.slice(0, 100).map((item) => item.id));
    }
    const directory = await mkdtemp(join(tmpdir(), "guild-index-"));
    await large.save(directory);
    const again = await openFaissIndex(addon, model, directory, { invertFrom: 3_000 });
    for (const index of [large, again]) {
      let same = 0;
      for (let round = 0; round < 50; round += 1) {
        const query = near();
        const expected = new Set((await exact.search(query, 10)).map((hit) => hit.id));
        for (const hit of await index.search(query, 10)) if (expected.has(hit.id)) same += 1;
      }
      assert.ok(same >= 0.95 * 500, `recall ${same / 500}`);
      assert.equal(await index.size(), 3_900);
      const [only] = await index.search(items[200]?.vector ?? new Float32Array(32), 3, new Set(["v5", "v200"]));
      assert.equal(only?.id, "v200");
      await index.close();
    }
    await rm(directory, { recursive: true });
  });
});

function unit(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value) => value / length);
}

describe("the FAISS addon", () => {
  it("is built wherever the tests run", () => {
    assert.notEqual(addon, undefined, "packages/knowledge/native/build.sh has not built it: libfaiss-dev is missing");
  });

  it("is used where it is built, and the exact scan where it is not", async () => {
    const model = { id: "test", dimension: 4 };
    const [built, missing] = [await openVectorIndex(model), await openVectorIndex(model, { addon: null })];
    assert.deepEqual([built.kind, missing.kind], ["faiss", "exact"]);
    await Promise.all([built.close(), missing.close()]);
  });

  it("says that it is missing rather than failing", () => {
    assert.equal(loadFaiss(join(import.meta.dirname, "no-such-addon.node")), undefined);
  });
});

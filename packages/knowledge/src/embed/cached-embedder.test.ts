import assert from "node:assert/strict";
import { appendFile, mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

import { type Embedder, GuildError } from "@guildhall/core";
import { embedderContract } from "@guildhall/core/testing";

import { cachedEmbedder } from "./cached-embedder.ts";
import { openVectorStore } from "./vector-store.ts";

const model = { id: "counting", dimension: 4 };

/** Says what it was asked. */
function countingEmbedder(): Embedder & { asked: string[]; failing: boolean; hold: Promise<void> | undefined } {
  const embedder = {
    model,
    asked: [] as string[],
    failing: false,
    hold: undefined as Promise<void> | undefined,
    async embed(texts: readonly string[], signal?: AbortSignal) {
      signal?.throwIfAborted();
      embedder.asked.push(...texts);
      await embedder.hold;
      if (embedder.failing) throw new GuildError("unavailable", "no model");
      return texts.map((text) => {
        const raw = [text.length, text.charCodeAt(0) || 0, text.charCodeAt(1) || 0, text.charCodeAt(2) || 0];
        const length = text === "" ? Infinity : Math.hypot(...raw);
        return Float32Array.from(raw, (value) => value / length);
      });
    },
    close: () => Promise.resolve(),
  };
  return embedder;
}

embedderContract("the embedding cache", () => Promise.resolve(cachedEmbedder(countingEmbedder())));

describe("the embedding cache", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "guild-embeddings-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("asks for a text once, whether it is repeated, in memory, on disk or under way", async () => {
    const inner = countingEmbedder();
    const cache = cachedEmbedder(inner, { store: await openVectorStore(directory, model), entries: 2 });
    const [first] = await cache.embed(["one", "one", "two", "three"]);
    assert.deepEqual(inner.asked, ["one", "two", "three"]);
    assert.deepEqual(cache.counts(), { memoryHits: 0, diskHits: 0, misses: 3 });
    assert.deepEqual(await cache.embed(["three", "one"]), [...(await cache.embed(["three"])), first]);
    assert.deepEqual(cache.counts(), { memoryHits: 2, diskHits: 1, misses: 3 });
    const [x, y] = await Promise.all([cache.embed(["new"]), cache.embed(["new"])]);
    assert.deepEqual(x, y);
    assert.deepEqual(inner.asked, ["one", "two", "three", "new"]);
    await cache.close();
  });

  it("finds everything again in another process's files, one store beside the other", async () => {
    const stores = [await openVectorStore(directory, model), await openVectorStore(directory, model)];
    const [a, b] = stores.map((store) => cachedEmbedder(countingEmbedder(), { store }));
    await a?.embed(["from a"]);
    await b?.embed(["from b"]);
    await Promise.all([a?.close(), b?.close()]);
    const inner = countingEmbedder();
    const again = cachedEmbedder(inner, { store: await openVectorStore(directory, model) });
    await again.embed(["from a", "from b"]);
    assert.deepEqual(inner.asked, []);
    assert.equal(again.counts().diskHits, 2);
    await again.close();
  });

  it("embeds again what is torn or damaged on disk", async () => {
    const store = await openVectorStore(directory, model);
    await cachedEmbedder(countingEmbedder(), { store }).embed(["whole", "torn"]);
    await store.close();
    const home = join(directory, (await readdir(directory))[0] ?? "");
    const segment = join(home, (await readdir(home))[0] ?? "");
    await truncate(segment, 52 * 2 - 3);
    await appendFile(segment, "xyz");
    const inner = countingEmbedder();
    const again = cachedEmbedder(inner, { store: await openVectorStore(directory, model) });
    await again.embed(["whole", "torn"]);
    assert.deepEqual(inner.asked, ["torn"]);
    await again.close();
  });

  it("keeps no failure, and keeps what the asker no longer waits for", async () => {
    const inner = countingEmbedder();
    const cache = cachedEmbedder(inner);
    inner.failing = true;
    await assert.rejects(cache.embed(["x"]), (error) => GuildError.is(error, "unavailable"));
    inner.failing = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    inner.hold = promise;
    const asker = new AbortController();
    const given = cache.embed(["x"], asker.signal);
    asker.abort(new Error("enough"));
    await assert.rejects(given, /enough/);
    resolve();
    await cache.embed(["x"]);
    assert.deepEqual(inner.asked, ["x", "x"]);
  });

  it("keeps the vectors of models apart and within its size", async () => {
    const vector = new Float32Array(4).fill(0.5);
    const store = await openVectorStore(directory, model);
    await store.put([{ key: "00".repeat(32), vector }]);
    await store.close();
    const other = await openVectorStore(directory, { id: "other", dimension: 4 });
    assert.equal(await other.get("00".repeat(32)), undefined);
    assert.throws(
      () => cachedEmbedder(countingEmbedder(), { store: other }),
      (error) => GuildError.is(error, "failed_precondition"),
    );
    await other.close();
    const small = await openVectorStore(directory, model, { maxBytes: 10 });
    assert.equal(small.size, 0);
    await small.close();
  });
});

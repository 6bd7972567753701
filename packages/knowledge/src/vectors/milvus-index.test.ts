import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { vectorIndexContract } from "@guildhall/core/testing";

import { type FakeMilvusServer, startFakeMilvus } from "./fake-milvus.ts";
import { milvusVersion, openMilvusIndex } from "./milvus-index.ts";

const model = { id: "test", dimension: 4 };

/** Milvus's own client speaks its own protocol here, to a server of ours: a real one was never asked. */
describe("Milvus, by its own client", () => {
  let server: FakeMilvusServer;
  before(async () => {
    server = await startFakeMilvus();
  });
  after(() => server.close());

  vectorIndexContract("Milvus", (of, directory) => openMilvusIndex({ url: server.address }, of, directory));

  it("has a collection an index, which goes with it unless it was saved; the token goes with every message", async () => {
    const before = server.collections.size;
    const [one, two] = [
      await openMilvusIndex({ url: server.address, token: "root:secret" }, model),
      await openMilvusIndex({ url: server.address }, model),
    ];
    assert.equal(server.collections.size, before + 2);
    await one.add([{ id: 'odd "id" \\ 世界', vector: Float32Array.from([1, 0, 0, 0]) }]);
    assert.equal(server.authorization, Buffer.from("root:secret").toString("base64"));
    assert.deepEqual(await two.search(Float32Array.from([1, 0, 0, 0]), 3), []);
    assert.equal((await one.search(Float32Array.from([1, 0, 0, 0]), 3, new Set(['odd "id" \\ 世界'])))[0]?.score, 1);
    await Promise.all([one.close(), two.close()]);
    assert.equal(server.collections.size, before);
  });

  it("tells every failure; nothing is taken for an empty answer", async () => {
    const index = await openMilvusIndex({ url: server.address }, model);
    await index.add([{ id: "a", vector: Float32Array.from([1, 0, 0, 0]) }]);
    server.failing = "quota exceeded";
    const told = (error: unknown): boolean => GuildError.is(error, "unavailable") && error.line.includes("quota exceeded");
    await assert.rejects(index.search(Float32Array.from([1, 0, 0, 0]), 3), told);
    await assert.rejects(index.add([{ id: "b", vector: Float32Array.from([1, 0, 0, 0]) }]), told);
    await assert.rejects(index.remove(["a"]), told);
    await assert.rejects(index.size(), told);
    server.failing = undefined;
    assert.deepEqual(
      (await index.search(Float32Array.from([1, 0, 0, 0]), 3)).map(({ id }) => id),
      ["a"],
    );
    await index.close();
    assert.equal(await milvusVersion({ url: server.address }), "fake");
  });
});

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { encodeTree, GIT_FILE, gitObjectId, GuildError } from "@guildhall/core";
import { blobStoreContract, checkpointStoreContract, freshName } from "@guildhall/core/testing";

import { DatabaseBlobStore } from "./database-blob-store.ts";
import { DatabaseCheckpointStore } from "./database-checkpoint-store.ts";
import { Database } from "./database.ts";
import { migrate } from "./migrations.ts";
import { Postgres } from "./postgres.ts";
import { temporaryStorage, type TemporaryStorage } from "./testing/temporary-storage.ts";

/** A server for all suites of this file, and the database on it. */
let temporary: TemporaryStorage;
const opened: Database[] = [];

async function open(): Promise<Database> {
  const { dataDir, runtimeDir } = temporary.options;
  const binariesDir = process.getuid?.() === 0 ? "/var/lib/guildhall" : dataDir;
  const postgres = new Postgres({ dataDir, runtimeDir, binariesDir });
  const database = new Database({ address: () => postgres.ensure() });
  opened.push(database);
  await migrate(database);
  return database;
}

before(async () => (temporary = await temporaryStorage()));
after(async () => {
  await Promise.all(opened.map((database) => database.close()));
  await temporary.close();
});

blobStoreContract("rows", async () => ({ store: new DatabaseBlobStore(await open()), close: async () => undefined }));

checkpointStoreContract("rows", async () => {
  const store = new DatabaseCheckpointStore({ database: await open(), store: freshName("workspace"), graceMs: -1 });
  return { store, close: async () => undefined };
});

describe("objects in a database that several share", () => {
  it("are the same for all, and apart by workspace", async () => {
    const [one, two] = [await open(), await open()];
    const { digest } = await new DatabaseBlobStore(one).put(Buffer.alloc(1_000_000, "x"), "text/plain");
    assert.equal(await new DatabaseBlobStore(two).has(digest), true);
    const store = freshName("workspace");
    const content = Buffer.from("shared");
    const id = gitObjectId("blob", content);
    await new DatabaseCheckpointStore({ database: one, store }).put([{ id, kind: "blob", content }]);
    assert.deepEqual(Buffer.from((await new DatabaseCheckpointStore({ database: two, store }).get(id)).content), content);
    assert.equal(await new DatabaseCheckpointStore({ database: two, store: freshName("workspace") }).has(id), false);
  });

  it("are spared while somebody builds on them", async () => {
    const [one, two] = [await open(), await open()];
    const store = freshName("workspace");
    const [mine, others] = [one, two].map((database) => new DatabaseCheckpointStore({ database, store }));
    assert.ok(mine && others);
    const content = Buffer.from("kept");
    const id = gitObjectId("blob", content);
    const tree = encodeTree([{ name: "file", mode: GIT_FILE, id }]);
    const root = gitObjectId("tree", tree);
    await mine.put([
      { id, kind: "blob", content },
      { id: root, kind: "tree", content: tree },
    ]);
    assert.deepEqual(await others.collect([]), { objects: 0, bytes: 0 });
    const strict = new DatabaseCheckpointStore({ database: two, store, graceMs: -1 });
    assert.equal((await strict.collect([root])).objects, 0);
    assert.equal((await strict.collect([])).objects, 2);
    await assert.rejects(mine.get(id), (error) => GuildError.is(error, "not_found"));
  });

  it("put by many at once are there once", async () => {
    const databases = await Promise.all([open(), open(), open()]);
    const store = freshName("workspace");
    const objects = Array.from({ length: 300 }, (_, number) => {
      const content = Buffer.from(`object ${number}`);
      return { id: gitObjectId("blob", content), kind: "blob" as const, content };
    });
    await Promise.all(
      databases.map((database, index) =>
        new DatabaseCheckpointStore({ database, store }).put(index % 2 === 0 ? objects : objects.toReversed()),
      ),
    );
    const [first] = databases;
    assert.ok(first !== undefined);
    const strict = new DatabaseCheckpointStore({ database: first, store, graceMs: -1 });
    assert.equal((await strict.collect([])).objects, objects.length);
  });
});

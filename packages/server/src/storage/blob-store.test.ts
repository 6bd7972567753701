import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { blobStoreContract, digestOf } from "@guildhall/core/testing";

import { FileBlobStore } from "./blob-store.ts";

blobStoreContract("files", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guildhall-blobs-"));
  const store = new FileBlobStore({ directory: join(directory, "blobs") });
  return { store, close: () => rm(directory, { recursive: true, force: true }) };
});

describe("blob files", () => {
  let root: string;
  let directory: string;
  let store: FileBlobStore;
  const bytes = Buffer.from("a large output");
  const pathOf = (content: Uint8Array) => {
    const hex = digestOf(content).slice("sha256:".length);
    return join(directory, hex.slice(0, 2), hex.slice(2));
  };
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "guildhall-blobs-"));
    directory = join(root, "blobs");
    store = new FileBlobStore({ directory });
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it("are for their owner alone, and nothing else is left of a put", async () => {
    await store.put(bytes, "text/plain");
    assert.equal((await stat(pathOf(bytes))).mode & 0o777, 0o600);
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    assert.deepEqual(await readdir(join(directory, "incoming")), []);
  });

  it("are not written again", async () => {
    await store.put(bytes, "text/plain");
    const { ino } = await stat(pathOf(bytes));
    const streamed = async function* () {
      yield bytes;
    };
    for (const source of [bytes, streamed()]) await store.put(source, "text/plain");
    assert.equal((await stat(pathOf(bytes))).ino, ino);
  });

  it("say so when the disk gave back something else, and are made whole by the next put when they are cut", async () => {
    const { digest } = await store.put(bytes, "text/plain");
    await writeFile(pathOf(bytes), "another content");
    const read = () => Array.fromAsync(store.get(digest));
    await assert.rejects(read, (error) => GuildError.is(error, "corrupt") && error.subject === pathOf(bytes));
    await truncate(pathOf(bytes), 3);
    await assert.rejects(read, (error) => GuildError.is(error, "corrupt"));
    await store.put(bytes, "text/plain");
    assert.deepEqual(Buffer.concat(await read()), bytes);
  });

  it("are cleared of what killed writers left long ago, but not of what is being written", async () => {
    await mkdir(join(directory, "incoming"), { recursive: true });
    for (const name of ["old", "new"]) await writeFile(join(directory, "incoming", name), "half");
    const longAgo = new Date(Date.now() - 48 * 3600 * 1000);
    await utimes(join(directory, "incoming", "old"), longAgo, longAgo);
    await store.put(bytes, "text/plain");
    assert.deepEqual(await readdir(join(directory, "incoming")), ["new"]);
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFile, mkdtemp, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { encodeTree, GIT_FILE, GIT_TREE, gitObjectId, GuildError, sortTree, type GitObjectKind, type TreeEntry } from "@guildhall/core";
import { checkpointStoreContract } from "@guildhall/core/testing";

import { FileCheckpointStore } from "./file-checkpoint-store.ts";

checkpointStoreContract("files", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guild-store-"));
  const store = await FileCheckpointStore.open(directory, { graceMs: -1 });
  return {
    store,
    async close() {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});

describe("FileCheckpointStore", () => {
  it("is a repository that stock git reads and finds sound", () =>
    inDirectory(async (directory) => {
      const store = await FileCheckpointStore.open(directory);
      const file = object("blob", Buffer.from("hello\n"));
      const odd = object("blob", randomBytes(100_000));
      const inner = treeOf([{ name: "größe.txt", mode: GIT_FILE, id: file.id }]);
      const outer = treeOf([
        { name: "a", mode: GIT_TREE, id: inner.id },
        { name: "a.txt", mode: GIT_FILE, id: file.id },
        { name: "odd", mode: GIT_FILE, id: odd.id },
      ]);
      await store.put([file, odd, inner, outer]);
      await store.put(Array.from({ length: 1500 }, (_, number) => object("blob", Buffer.from(`number ${number}`))));
      await store.close();
      git(directory, "fsck", "--strict", "--full");
      assert.match(git(directory, "ls-tree", "-r", "--name-only", "-z", outer.id), /^a.txt\0a\/größe.txt\0odd\0$/);
      assert.equal(git(directory, "cat-file", "-p", `${outer.id}:a/größe.txt`), "hello\n");
      for (const pack of await packs(directory)) git(directory, "verify-pack", join("objects", "pack", pack));
      assert.throws(() => git(directory, "prune", "--expire=now"), /precious/);
    }));

  it("keeps what was put when the process dies before packing", () =>
    inDirectory(async (directory) => {
      const first = await FileCheckpointStore.open(directory);
      const object1 = object("blob", Buffer.from("one"));
      await first.put([object1]);
      abandoned.push(first);
      const second = await FileCheckpointStore.open(directory);
      assert.equal(Buffer.from((await second.get(object1.id)).content).toString(), "one");
      await second.close();
      assert.equal(git(directory, "cat-file", "-p", object1.id), "one");
    }));

  it("drops a record that a crash cut short, and goes on behind the last whole one", () =>
    inDirectory(async (directory) => {
      const [one, two, three] = ["one", "two", "three"].map((text) => object("blob", Buffer.from(text.repeat(50))));
      assert.ok(one && two && three);
      const first = await FileCheckpointStore.open(directory);
      await first.put([one]);
      const whole = (await stat(join(directory, "journal"))).size;
      await first.put([two]);
      await truncate(join(directory, "journal"), (await stat(join(directory, "journal"))).size - 1);
      abandoned.push(first);
      const second = await FileCheckpointStore.open(directory);
      assert.equal(await second.has(one.id), true);
      assert.equal(await second.has(two.id), false);
      assert.equal((await stat(join(directory, "journal"))).size, whole);
      await appendFile(join(directory, "journal"), Buffer.alloc(500));
      await second.put([three]);
      abandoned.push(second);
      const third = await FileCheckpointStore.open(directory);
      assert.equal(Buffer.from((await third.get(three.id)).content).toString(), "three".repeat(50));
      await third.close();
    }));

  it("merges small packs, so that a long life does not cost a file a session", () =>
    inDirectory(async (directory) => {
      const objects = Array.from({ length: 60 }, (_, number) => object("blob", Buffer.from(`session ${number}`)));
      for (const one of objects) {
        const store = await FileCheckpointStore.open(directory);
        await store.put([one]);
        await store.close();
      }
      assert.ok((await packs(directory)).length <= 26, String((await packs(directory)).length));
      const store = await FileCheckpointStore.open(directory);
      for (const one of objects) assert.deepEqual(Buffer.from((await store.get(one.id)).content), one.content);
      await store.close();
      git(directory, "fsck", "--full");
    }));

  it("spares for a while what was put or asked for, then collects it", () =>
    inDirectory(async (directory) => {
      let now = 0;
      const store = await FileCheckpointStore.open(directory, { graceMs: 1000, monotonic: () => now });
      const file = object("blob", Buffer.from("content"));
      const root = treeOf([{ name: "file", mode: GIT_FILE, id: file.id }]);
      await store.put([file, root]);
      now = 900;
      assert.equal((await store.collect([])).objects, 0);
      await store.has(root.id);
      now = 1800;
      assert.equal((await store.collect([])).objects, 0);
      now = 2000;
      assert.equal((await store.collect([])).objects, 2);
      await store.close();
    }));

  it("refuses to work after it was closed", () =>
    inDirectory(async (directory) => {
      const store = await FileCheckpointStore.open(directory);
      await store.close();
      await assert.rejects(store.put([object("blob", Buffer.from("late"))]), (error) => GuildError.is(error, "failed_precondition"));
    }));
});

/** Stores that nobody closes, as after a crash: kept, lest the collector close their files with a warning. */
const abandoned: FileCheckpointStore[] = [];

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "guild-store-"));
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function object(kind: GitObjectKind, content: Buffer): { id: string; kind: GitObjectKind; content: Buffer } {
  return { id: gitObjectId(kind, content), kind, content };
}

function treeOf(entries: TreeEntry[]): ReturnType<typeof object> {
  return object("tree", encodeTree(sortTree(entries)));
}

function git(directory: string, ...args: string[]): string {
  const env = { PATH: "/usr/bin:/bin", GIT_DIR: directory, GIT_CONFIG_NOSYSTEM: "1", HOME: directory };
  return execFileSync("git", args, { cwd: directory, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

async function packs(directory: string): Promise<string[]> {
  return (await readdir(join(directory, "objects", "pack"))).filter((name) => name.endsWith(".pack"));
}

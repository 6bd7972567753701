import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import { EMPTY_TREE } from "../git-object.ts";
import type { Checkpointer, CheckpointStore } from "../ports/checkpoint.ts";
import type { SandboxFiles } from "../ports/sandbox.ts";

/** What a suite runs against: an empty workspace. */
export interface CheckpointerFixture {
  checkpointer: Checkpointer;
  store: CheckpointStore;
  /** The workspace. */
  files: SandboxFiles;
  close(): Promise<void>;
}

/** Every promise of the Checkpointer port. `makeFixture` is called for each test. */
export function checkpointerContract(name: string, makeFixture: () => Promise<CheckpointerFixture>): void {
  const withFixture = (body: (fixture: CheckpointerFixture) => Promise<void>) => async () => {
    const fixture = await makeFixture();
    try {
      await body(fixture);
    } finally {
      await fixture.close();
    }
  };

  describe(`${name}: checkpointer`, () => {
    it(
      "names an empty workspace by git's empty tree",
      withFixture(async ({ checkpointer, store }) => {
        const { tree, changedFiles } = await checkpointer.capture();
        assert.equal(tree, EMPTY_TREE);
        assert.equal(changedFiles, 0);
        assert.equal(await store.has(tree), true);
      }),
    );

    it(
      "counts what changed since the checkpoint before, and stores nothing for what did not",
      withFixture(async ({ checkpointer, files }) => {
        await write(files, "a.txt", "a");
        await write(files, "dir/b.txt", "b");
        const first = await checkpointer.capture();
        assert.equal(first.changedFiles, 2);
        assert.ok(first.storedBytes > 0);
        assert.deepEqual(await checkpointer.capture(), { ...first, changedFiles: 0, storedBytes: 0 });

        await write(files, "a.txt", "A");
        await files.remove("dir/b.txt");
        await write(files, "dir/c.txt", "c");
        const second = await checkpointer.capture();
        assert.equal(second.changedFiles, 3);
        assert.notEqual(second.tree, first.tree);

        await write(files, "a.txt", "a");
        await files.remove("dir/c.txt");
        await write(files, "dir/b.txt", "b");
        assert.equal((await checkpointer.capture()).tree, first.tree);
      }),
    );

    it(
      "tells the differences of two checkpoints",
      withFixture(async ({ checkpointer, files }) => {
        await write(files, "changed", "1");
        await write(files, "deleted", "1");
        await write(files, "mode", "1");
        await write(files, "same/same", "1");
        const from = (await checkpointer.capture()).tree;
        await write(files, "changed", "2");
        await files.remove("deleted");
        await files.chmod("mode", 0o755);
        await write(files, "new/added", "1");
        const to = (await checkpointer.capture()).tree;
        const expected = [
          { path: "changed", change: "modified" },
          { path: "deleted", change: "deleted" },
          { path: "mode", change: "modified" },
          { path: "new/added", change: "added" },
        ];
        assert.deepEqual(await checkpointer.diff(from, to), expected);
        assert.deepEqual(await checkpointer.diff(from, from), []);
      }),
    );

    it(
      "restores content, modes, links and kinds, and says what it changed",
      withFixture(async ({ checkpointer, files }) => {
        await write(files, "text", "one\r\ntwo");
        await write(files, "bytes", Buffer.from([0, 255, 10, 0]));
        await write(files, "run", "#!/bin/sh\n", 0o755);
        await files.symlink("dir/inner", "link");
        await files.symlink("/nowhere", "dangling");
        await write(files, "dir/inner", "inner");
        await write(files, "file-then-directory", "file");
        await write(files, "directory-then-file/inside", "inside");
        await write(files, "untouched/file", "same");
        const { tree } = await checkpointer.capture();

        await write(files, "text", "three");
        await files.remove("bytes");
        await files.chmod("run", 0o644);
        await files.remove("link");
        await files.symlink("text", "link");
        await files.remove("dangling");
        await write(files, "dangling", "a file now");
        await files.remove("dir", { recursive: true });
        await files.remove("file-then-directory");
        await write(files, "file-then-directory/deep/inside", "x");
        await files.remove("directory-then-file", { recursive: true });
        await write(files, "directory-then-file", "x");
        await write(files, "added/new", "x");
        const before = (await checkpointer.capture()).tree;

        const changes = await checkpointer.restore(tree);
        assert.deepEqual(
          changes.map(({ path, change }) => `${change} ${path}`),
          (await checkpointer.diff(before, tree)).map(({ path, change }) => `${change} ${path}`),
        );
        assert.ok(!changes.some(({ path }) => path.startsWith("untouched")));
        assert.equal(await read(files, "text"), "one\r\ntwo");
        assert.deepEqual(Buffer.from(await files.read("bytes")), Buffer.from([0, 255, 10, 0]));
        assert.notEqual((await files.stat("run")).mode & 0o100, 0);
        assert.equal(await files.readlink("link"), "dir/inner");
        assert.equal(await files.readlink("dangling"), "/nowhere");
        assert.equal(await read(files, "file-then-directory"), "file");
        assert.equal(await read(files, "directory-then-file/inside"), "inside");
        await assert.rejects(files.stat("added"), (error) => GuildError.is(error, "not_found"));
        assert.equal((await checkpointer.capture()).tree, tree);
        assert.deepEqual(await checkpointer.restore(tree), []);

        await checkpointer.restore(before);
        assert.equal((await checkpointer.capture()).tree, before);
      }),
    );

    it(
      "neither covers nor touches .git, at the top or below",
      withFixture(async ({ checkpointer, files }) => {
        await write(files, ".git/HEAD", "ref: refs/heads/main\n");
        await write(files, "nested/.git", "gitdir: elsewhere\n");
        await write(files, "nested/file", "1");
        const { tree, changedFiles } = await checkpointer.capture();
        assert.equal(changedFiles, 1);
        await write(files, ".git/HEAD", "ref: refs/heads/other\n");
        await files.remove("nested/file");
        await checkpointer.restore(tree);
        assert.equal(await read(files, ".git/HEAD"), "ref: refs/heads/other\n");
        assert.equal(await read(files, "nested/.git"), "gitdir: elsewhere\n");
        assert.equal(await read(files, "nested/file"), "1");
      }),
    );

    it(
      "writes a file of several names for itself, and through no link",
      withFixture(async ({ checkpointer, files }) => {
        await write(files, "target", "target");
        await write(files, "path", "content");
        const { tree } = await checkpointer.capture();
        await files.remove("path");
        await files.symlink("target", "path");
        await checkpointer.restore(tree);
        assert.equal(await read(files, "target"), "target");
        assert.equal(await read(files, "path"), "content");
      }),
    );

    it(
      "carries names of every kind",
      withFixture(async ({ checkpointer, files }) => {
        const names = ["größe.txt", " leading and trailing ", "new\nline", "back\\slash", "-dash", "a\udcff\udc80b", "🚀", "*?[]"];
        for (const name of names) await write(files, `dir/${name}`, name);
        const { tree, changedFiles, omitted } = await checkpointer.capture();
        assert.equal(changedFiles, names.length);
        assert.equal(omitted, "");
        await files.remove("dir", { recursive: true });
        assert.deepEqual(new Set((await checkpointer.restore(tree)).map(({ path }) => path)), new Set(names.map((name) => `dir/${name}`)));
        for (const name of names) assert.equal(await read(files, `dir/${name}`), Buffer.from(name).toString());
      }),
    );

    it(
      "says not_found for a tree that the store does not have, and changes nothing",
      withFixture(async ({ checkpointer, files }) => {
        await write(files, "file", "1");
        await assert.rejects(checkpointer.restore("12".repeat(20)), (error) => GuildError.is(error, "not_found"));
        assert.equal(await read(files, "file"), "1");
      }),
    );
  });
}

async function write(files: SandboxFiles, path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  await files.write(path, typeof content === "string" ? Buffer.from(content) : content, { mode, parents: true });
}

async function read(files: SandboxFiles, path: string): Promise<string> {
  return Buffer.from(await files.read(path)).toString();
}

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { GIT_EXECUTABLE, GIT_FILE, GIT_SYMLINK, gitObjectId, type Sandbox } from "@guildhall/core";
import { MemoryCheckpointStore } from "@guildhall/core/testing";
import { createSandboxProvider, type FileDifference } from "@guildhall/sandbox";

import { mergeChanges } from "./merge-changes.ts";

describe("changes of an agent's copy", () => {
  const store = new MemoryCheckpointStore();
  const base = mkdtempSync(join(tmpdir(), "guild-merge-"));
  const workspace = join(base, "workspace");
  let sandbox: Sandbox;
  let close: () => Promise<void>;
  before(async () => {
    const provider = createSandboxProvider("bubblewrap", { stateDir: join(base, "state") });
    mkdirSync(workspace);
    sandbox = await provider.create({ id: "sbx_merge", workspace });
    close = () => provider.close();
  });
  after(async () => {
    await sandbox.dispose();
    await close();
    rmSync(base, { recursive: true, force: true });
  });

  const version = async (text: string | undefined, mode = GIT_FILE) => {
    if (text === undefined) return undefined;
    const content = Buffer.from(text);
    const id = gitObjectId("blob", content);
    await store.put([{ id, kind: "blob", content }]);
    return { mode, id };
  };
  const change = async (path: string, from: string | undefined, to: string | undefined, modes: [number, number] = [GIT_FILE, GIT_FILE]) =>
    ({ path, change: "modified", from: await version(from, modes[0]), to: await version(to, modes[1]) }) satisfies FileDifference;
  const put = (path: string, text: string) => sandbox.files.write(path, Buffer.from(text), { parents: true });
  const read = async (path: string) => Buffer.from(await sandbox.files.read(path)).toString();
  const merge = (changes: FileDifference[], theirs = false) => mergeChanges(sandbox, store, changes, { theirs });
  const LINES = "1\n2\n3\n4\n5\n6\n7\n8\n";

  it("are taken over where nothing was touched: new, changed, removed, programs and links", async () => {
    await put("old", "old");
    await put("gone", "gone");
    await put("run", "run");
    const changes = [
      await change("old", "old", "new"),
      await change("gone", "gone", undefined),
      await change("deep/new", undefined, "made"),
      await change("run", "run", "run", [GIT_FILE, GIT_EXECUTABLE]),
      await change("link", undefined, "old", [GIT_FILE, GIT_SYMLINK]),
    ];
    assert.deepEqual(await merge(changes), []);
    assert.deepEqual([await read("old"), await read("deep/new"), await sandbox.files.readlink("link")], ["new", "made", "old"]);
    await assert.rejects(sandbox.files.stat("gone"));
    assert.equal((await sandbox.files.stat("run")).mode & 0o100, 0o100);
    assert.deepEqual(await merge(changes), [], "and once more, as after a crash");
  });

  it("are merged line by line where both sides changed a text, and brought once however often", async () => {
    await put("text", LINES.replace("1", "here"));
    const both = [await change("text", LINES, LINES.replace("8", "there"))];
    for (let times = 0; times < 2; times += 1) {
      assert.deepEqual(await merge(both), []);
      assert.equal(await read("text"), LINES.replace("1", "here").replace("8", "there"));
    }
  });

  it("stay out where they do not go together, each with its reason, unless they are wanted all the same", async () => {
    await put("same-line", "mine\n");
    await put("made", "mine");
    await put("changed", "mine");
    await put("binary", "\u0000\u0001mine");
    await put("place/file", "x");
    const changes = [
      await change("same-line", "base\n", "theirs\n"),
      await change("made", undefined, "theirs"),
      await change("changed", "base", undefined),
      await change("removed", "base", "theirs"),
      await change("binary", "\u0000\u0001base", "\u0000\u0001theirs"),
      await change("place", undefined, "theirs"),
    ];
    const refused = await merge(changes);
    assert.deepEqual(
      refused.map(({ path, why }) => `${path}: ${why}`),
      [
        "same-line: it was changed on both sides in the same place",
        "made: it was made on both sides",
        "changed: it was changed here and removed there",
        "removed: it was removed here and changed there",
        "binary: it was changed on both sides in the same place",
        "place: a directory stands there",
      ],
    );
    assert.deepEqual([await read("same-line"), await read("made"), await read("changed")], ["mine\n", "mine", "mine"]);
    assert.deepEqual(await merge(changes, true), []);
    assert.deepEqual([await read("same-line"), await read("removed"), await read("place")], ["theirs\n", "theirs", "theirs"]);
    await assert.rejects(sandbox.files.stat("changed"));
  });
});

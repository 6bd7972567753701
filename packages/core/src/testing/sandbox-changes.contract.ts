import assert from "node:assert/strict";
import { appendFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { it } from "node:test";

import type { Sandbox } from "../ports/sandbox.ts";
import type { Sandboxes } from "./sandbox-fixture.ts";
import { runScript } from "./sandbox-run.ts";

/** Telling what changed: everything before the call, from inside and from outside. */
export function sandboxChangesContract(sandboxes: Sandboxes): void {
  const changed = async (sandbox: Sandbox): Promise<string[]> => {
    const { overflow, paths } = await sandbox.changes.changes();
    assert.equal(overflow, false);
    return paths.toSorted();
  };

  it("tells nothing without change, and each change once", async () => {
    const sandbox = await sandboxes.fresh();
    await sandbox.changes.track([""]);
    assert.deepEqual(await changed(sandbox), []);
    await runScript(sandbox, "echo 1 > a; echo 2 >> a; mkdir d; ln -s a l");
    assert.deepEqual(await changed(sandbox), ["a", "d", "l"]);
    assert.deepEqual(await changed(sandbox), []);
  });

  it("sees writes, mode changes, renames, removals and its own file operations", async () => {
    const sandbox = await sandboxes.fresh();
    await runScript(sandbox, "mkdir d; for f in w m r x; do echo > d/$f; done");
    await sandbox.changes.track(["", "d", "d"]);
    await runScript(sandbox, "echo more >> d/w; chmod 700 d/m; mv d/r d/r2; rm d/x");
    assert.deepEqual(await changed(sandbox), ["d/m", "d/r", "d/r2", "d/w", "d/x"]);
    await sandbox.files.write("d/own", Buffer.from("x"));
    await sandbox.files.rename("d/own", "owned");
    assert.deepEqual(await changed(sandbox), ["d/own", "owned"]);
  });

  it("sees what happens outside", async () => {
    const sandbox = await sandboxes.fresh();
    await sandbox.changes.track([""]);
    await writeFile(join(sandbox.workspace, "made"), "1");
    await mkdir(join(sandbox.workspace, "folder"));
    await sandbox.settle?.();
    assert.deepEqual(await changed(sandbox), ["folder", "made"]);
    await appendFile(join(sandbox.workspace, "made"), "2");
    await rename(join(sandbox.workspace, "folder"), join(sandbox.workspace, "moved"));
    await sandbox.settle?.();
    assert.deepEqual(await changed(sandbox), ["folder", "made", "moved"]);
    await rm(join(sandbox.workspace, "made"));
    await sandbox.settle?.();
    assert.deepEqual(await changed(sandbox), ["made"]);
  });

  it("covers only what is tracked, and new directories once they are", async () => {
    const sandbox = await sandboxes.fresh();
    await runScript(sandbox, "mkdir seen unseen");
    await sandbox.changes.track(["seen", "gone", "../outside"]);
    await runScript(sandbox, "touch seen/a unseen/a top; mkdir seen/new; touch seen/new/early");
    assert.deepEqual(await changed(sandbox), ["seen/a", "seen/new"]);
    await sandbox.changes.track(["seen/new"]);
    await runScript(sandbox, "touch seen/new/late");
    assert.ok((await changed(sandbox)).includes("seen/new/late"));
  });

  it("sees changes of a tracked file by a name in a directory that is not", async () => {
    const sandbox = await sandboxes.fresh();
    await runScript(sandbox, "mkdir seen unseen; echo 1 > seen/a; ln seen/a unseen/b");
    await sandbox.changes.track(["seen", "seen/a"]);
    await runScript(sandbox, "echo 2 >> unseen/b; touch unseen/c");
    assert.deepEqual(await changed(sandbox), ["seen/a"]);
  });

  it("tells nothing under the old name of a directory that has moved", async () => {
    const sandbox = await sandboxes.fresh();
    await runScript(sandbox, "mkdir -p old/deep");
    await sandbox.changes.track(["", "old", "old/deep"]);
    await runScript(sandbox, "mv old new");
    const moved = await changed(sandbox);
    assert.ok(moved.includes("old") && moved.includes("new"));
    await sandbox.changes.track(["new", "new/deep"]);
    await runScript(sandbox, "touch new/deep/f");
    const after = await changed(sandbox);
    assert.ok(after.includes("new/deep/f"));
    assert.ok(after.every((path) => !path.startsWith("old")));
  });

  it("admits to an overflow instead of leaving something out", async () => {
    const sandbox = await sandboxes.fresh();
    await sandbox.changes.track([""]);
    await runScript(sandbox, "printf '%s\\n' {1..17000} | xargs touch");
    const { overflow, paths } = await sandbox.changes.changes();
    assert.ok(overflow || paths.length === 17_000);
    await runScript(sandbox, "touch after");
    assert.deepEqual(await changed(sandbox), ["after"]);
  });
}

import assert from "node:assert/strict";
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { failsWith, runScript } from "@guildhall/core/testing";

import { BubblewrapProvider } from "../bubblewrap/provider.ts";
import { mountOverlay } from "../testing/overlay.ts";
import { providerFixture } from "../testing/provider-fixture.ts";
import { ManagedCopy } from "./managed-copy.ts";

const asRoot = process.geteuid?.() === 0;
const self = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

describe("a managed copy", () => {
  let base: string;
  let original: string;
  let count = 0;
  before(async () => {
    base = await mkdtemp(join(tmpdir(), "guildhall-copy-"));
  });
  after(() => rm(base, { recursive: true, force: true }));

  const create = async (
    files: Record<string, string>,
    guarded: string[] = [],
    owners = { original: self, copy: self },
  ): Promise<ManagedCopy> => {
    original = join(base, `original-${++count}`);
    await mkdir(original);
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(original, name, ".."), { recursive: true });
      await writeFile(join(original, name), content);
    }
    return ManagedCopy.create({ original, directory: join(base, `state-${count}`), owners, guarded });
  };
  const read = (path: string): Promise<string> => readFile(path, "utf8");

  it("holds what the original holds, and brings home what was made, changed, renamed and removed", async () => {
    const copy = await create({ "a/b/c": "one", "a/gone": "x", same: "same", old: "moved" });
    await symlink("a/b/c", join(original, "link"));
    assert.deepEqual(await copy.settle(), []);
    assert.equal(await read(join(copy.path, "a/b/c")), "one");
    assert.equal(await readlink(join(copy.path, "link")), "a/b/c");
    await writeFile(join(copy.path, "a/b/c"), "two");
    await chmod(join(copy.path, "same"), 0o755);
    await rm(join(copy.path, "a/gone"));
    await rename(join(copy.path, "old"), join(copy.path, "new"));
    await mkdir(join(copy.path, "d/e"), { recursive: true });
    await writeFile(join(copy.path, "d/e/f"), "made");
    await rm(join(copy.path, "link"));
    await symlink("/nowhere", join(copy.path, "link"));
    await writeFile(Buffer.concat([Buffer.from(`${copy.path}/`), Buffer.from([0xff, 0x0a])]), "odd name");
    assert.deepEqual(await copy.settle(), []);
    assert.equal(await read(join(original, "a/b/c")), "two");
    assert.equal((await lstat(join(original, "same"))).mode & 0o777, 0o755);
    assert.equal(await read(join(original, "d/e/f")), "made");
    assert.equal(await readlink(join(original, "link")), "/nowhere");
    assert.deepEqual((await readdir(original)).toSorted(), ["a", "d", "link", "new", "same", "\ufffd\n"].toSorted());
    assert.deepEqual(await readdir(join(original, "a")), ["b"]);
    await copy.remove();
    await assert.rejects(lstat(copy.path));
  });

  it("sees a change at once that leaves size and time alone", async () => {
    const copy = await create({ file: "one" });
    for (const content of ["two", "six", "ten"]) {
      const { atime, mtime } = await lstat(join(copy.path, "file"));
      await writeFile(join(copy.path, "file"), content);
      await utimes(join(copy.path, "file"), atime, mtime);
      await copy.settle();
      assert.equal(await read(join(original, "file")), content);
    }
  });

  it("brings in what a person does meanwhile", async () => {
    const copy = await create({ "d/file": "one", gone: "x", kept: "k" });
    await writeFile(join(original, "d/file"), "person's");
    await writeFile(join(original, "d/new"), "new");
    await rm(join(original, "gone"));
    assert.deepEqual(await copy.settle(), []);
    assert.equal(await read(join(copy.path, "d/file")), "person's");
    assert.equal(await read(join(copy.path, "d/new")), "new");
    assert.deepEqual((await readdir(copy.path)).toSorted(), ["d", "kept"]);
  });

  it("keeps a person's edit, and aside what the sandbox made of the same file", async () => {
    const copy = await create({ file: "one", alike: "one" });
    await writeFile(join(original, "file"), "person's");
    await writeFile(join(copy.path, "file"), "agent's");
    await writeFile(join(original, "alike"), "both");
    await writeFile(join(copy.path, "alike"), "both");
    const [conflict, ...others] = await copy.settle();
    assert.deepEqual(others, []);
    assert.equal(conflict?.path, "file");
    assert.equal(await read(join(original, "file")), "person's");
    assert.equal(await read(join(copy.path, "file")), "person's");
    assert.equal(await read(conflict.kept), "agent's");
    assert.deepEqual(await copy.settle(), []);
    await writeFile(join(copy.path, "file"), "agent's later");
    await copy.settle();
    assert.equal(await read(join(original, "file")), "agent's later");
    await copy.remove();
    assert.equal(await read(conflict.kept), "agent's");
  });

  it("lets edits outlive deletions, on either side", async () => {
    const copy = await create({ "a/one": "1", "a/two": "2", "b/three": "3" });
    await rm(join(original, "a"), { recursive: true });
    await writeFile(join(copy.path, "a/one"), "agent's");
    await rm(join(copy.path, "b"), { recursive: true });
    await writeFile(join(original, "b/new"), "person's");
    assert.deepEqual(await copy.settle(), []);
    for (const side of [original, copy.path]) {
      assert.deepEqual((await readdir(side)).toSorted(), ["a", "b"]);
      assert.deepEqual(await readdir(join(side, "a")), ["one"]);
      assert.deepEqual(await readdir(join(side, "b")), ["new"]);
    }
    assert.deepEqual(await copy.settle(), []);
  });

  it("follows files that become directories and the other way round", async () => {
    const copy = await create({ file: "f", "directory/child": "c", fought: "x" });
    await rm(join(copy.path, "file"));
    await mkdir(join(copy.path, "file"));
    await writeFile(join(copy.path, "file/child"), "new");
    await rm(join(copy.path, "directory"), { recursive: true });
    await writeFile(join(copy.path, "directory"), "now a file");
    await rm(join(copy.path, "fought"));
    await mkdir(join(copy.path, "fought/deep"), { recursive: true });
    await writeFile(join(copy.path, "fought/deep/er"), "agent's");
    await writeFile(join(original, "fought"), "person's");
    const conflicts = await copy.settle();
    assert.equal(await read(join(original, "file/child")), "new");
    assert.equal(await read(join(original, "directory")), "now a file");
    for (const side of [original, copy.path]) assert.equal(await read(join(side, "fought")), "person's");
    assert.deepEqual(
      conflicts.map((one) => one.path),
      ["fought"],
    );
    assert.equal(await read(join(conflicts[0]?.kept ?? "", "deep/er")), "agent's");
    assert.deepEqual(await copy.settle(), []);
  });

  it("never follows a link out, whoever planted it, and applies nothing to what is guarded", async () => {
    const copy = await create({ "d/file": "one", ".git/config": "safe", link: "x" }, [".git/config"]);
    const outside = await mkdtemp(join(base, "outside-"));
    await writeFile(join(outside, "file"), "outside");
    await rm(join(copy.path, "d"), { recursive: true });
    await symlink(outside, join(copy.path, "d"));
    await rm(join(copy.path, "link"));
    await symlink(join(outside, "file"), join(copy.path, "link"));
    await writeFile(join(copy.path, ".git/config"), "evil");
    await copy.settle();
    assert.equal(await readlink(join(original, "d")), outside);
    assert.equal(await readlink(join(original, "link")), join(outside, "file"));
    assert.equal(await read(join(original, ".git/config")), "safe");
    // The original's own directories may be links by now, too.
    await mkdir(join(copy.path, "new"));
    await writeFile(join(copy.path, "new/file"), "agent's");
    await symlink(outside, join(original, "new"));
    await copy.settle();
    assert.equal(await read(join(outside, "file")), "outside");
    assert.deepEqual(await readdir(outside), ["file"]);
  });

  it("is brought home by the next one when its host has died", async () => {
    const copy = await create({ file: "one" });
    await writeFile(join(copy.path, "file"), "done before the crash");
    const directory = join(copy.path, "..");
    assert.equal(await ManagedCopy.left(directory, original, false), undefined, "still somebody's");
    assert.equal(await ManagedCopy.left(directory, `${original}-other`, true), undefined);
    const left = await ManagedCopy.left(directory, original, true);
    await left?.settle();
    assert.equal(await read(join(original, "file")), "done before the crash");
  });

  it("is refused where it would copy itself", async () => {
    const workspace = await mkdtemp(join(base, "self-"));
    const options = { original: workspace, directory: join(workspace, "state"), owners: { original: self, copy: self }, guarded: [] };
    await assert.rejects(ManagedCopy.create(options), failsWith("failed_precondition"));
    assert.deepEqual(await readdir(workspace), []);
  });

  it(
    "gives files to the sandbox's user and back, and leaves other owners alone",
    { skip: !asRoot && "only root can give files away" },
    async () => {
      const owners = { original: { uid: 12345, gid: 12345 }, copy: { uid: 60789, gid: 60789 } };
      const workspace = await mkdtemp(join(base, "owned-"));
      for (const [name, uid] of [
        ["own", 12345],
        ["roots", 0],
      ] as const) {
        await writeFile(join(workspace, name), name, { mode: 0o600 });
        await chown(join(workspace, name), uid, uid);
      }
      await chown(workspace, 12345, 12345);
      const copy = await ManagedCopy.create({ original: workspace, directory: join(base, "owned-state"), owners, guarded: [] });
      const ownerOf = async (path: string): Promise<number> => (await lstat(path)).uid;
      assert.deepEqual(
        [await ownerOf(copy.path), await ownerOf(join(copy.path, "own")), await ownerOf(join(copy.path, "roots"))],
        [60789, 60789, 0],
      );
      for (const name of ["own", "made"]) {
        await writeFile(join(copy.path, name), "changed");
        await chown(join(copy.path, name), 60789, 60789);
      }
      await chmod(join(copy.path, "made"), 0o6755);
      await copy.settle();
      assert.deepEqual([await ownerOf(join(workspace, "own")), await ownerOf(join(workspace, "made"))], [12345, 12345]);
      assert.equal((await lstat(join(workspace, "made"))).mode & 0o7777, 0o755);
    },
  );
});

describe("a sandbox on a file system without id-mapped mounts", { skip: !asRoot && "only root can mount such a file system" }, () => {
  it("works on a copy, whose result comes home as the owner's", async () => {
    const overlay = await mountOverlay();
    const fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir }));
    try {
      const workspace = join(overlay.directory, "project");
      await mkdir(workspace);
      await writeFile(join(workspace, "file"), "one");
      await chown(join(workspace, "file"), 12345, 12345);
      await chown(workspace, 12345, 12345);
      const sandbox = await fixture.provider.create({ id: `overlay-${process.pid}`, workspace });
      const done = await runScript(sandbox, "pwd; cat file; stat -c %U file; echo two > file; git init -q; echo x > made");
      assert.equal(done.stdout, `${workspace}\noneagent\n`, done.stderr);
      assert.equal(await readFile(join(workspace, "file"), "utf8"), "one");
      assert.deepEqual(await sandbox.settle?.(), []);
      assert.equal(await readFile(join(workspace, "file"), "utf8"), "two\n");
      await runScript(sandbox, "rm made; echo three > file");
      await sandbox.dispose();
      assert.equal(await readFile(join(workspace, "file"), "utf8"), "three\n");
      assert.deepEqual((await readdir(workspace)).toSorted(), [".git", "file"]);
      for (const name of ["file", ".git", ".git/config"]) assert.equal((await lstat(join(workspace, name))).uid, 12345, name);
    } finally {
      await fixture.close();
      await overlay.close();
    }
  });
});

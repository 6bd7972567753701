import assert from "node:assert/strict";
import { it } from "node:test";

import type { FileStat, SandboxFiles } from "../ports/sandbox.ts";
import type { Sandboxes } from "./sandbox-fixture.ts";
import { failsWith, runScript } from "./sandbox-run.ts";

/** Files by the init: byte for byte, in place, with errors that say what is wrong. */
export function sandboxFilesContract(sandboxes: Sandboxes): void {
  const files = (): SandboxFiles => sandboxes.shared().files;
  const text = async (path: string): Promise<string> => Buffer.from(await files().read(path)).toString("utf8");
  const put = (path: string, content: string, options?: Parameters<SandboxFiles["write"]>[2]): Promise<void> =>
    files().write(path, Buffer.from(content), options);

  it("writes and reads any bytes, by relative and by absolute path", async () => {
    const bytes = Buffer.from([0, 1, 13, 10, 255, 254, 195, 40]);
    await files().write("bytes", bytes);
    assert.deepEqual(Buffer.from(await files().read(`${sandboxes.shared().workspace}/bytes`)), bytes);
    await files().write("empty", Buffer.alloc(0));
    assert.equal((await files().read("empty")).length, 0);
  });

  it("reads ranges, and files that have no size", async () => {
    await put("digits", "0123456789");
    const range = async (offset: number, length?: number): Promise<string> =>
      Buffer.from(await files().read("digits", length === undefined ? { offset } : { offset, length })).toString();
    assert.deepEqual([await range(3, 4), await range(8), await range(20), await range(0, 0)], ["3456", "89", "", ""]);
    assert.match(await text("/proc/version"), /Linux/);
  });

  it("carries large files", async () => {
    const large = Buffer.alloc(9_000_001);
    for (let at = 0; at < large.length; at += 4099) large.writeUInt8(at % 251, at);
    await files().write("large", large);
    assert.ok(Buffer.from(await files().read("large")).equals(large));
    await files().write("large", large.subarray(0, 5));
    assert.equal((await files().stat("large")).size, 5);
  });

  it("leaves line ends and everything else as they are written", async () => {
    await put("crlf", "\ufeffone\r\ntwo\rthree\nfour");
    assert.equal(await text("crlf"), "\ufeffone\r\ntwo\rthree\nfour");
  });

  it("keeps mode, inode and hard links of a file that it writes", async () => {
    await put("tool", "old, and longer than what follows", { mode: 0o751 });
    await runScript(sandboxes.shared(), "ln tool other-name");
    const before = await files().stat("tool");
    await put("tool", "new");
    const after = await files().stat("tool");
    assert.deepEqual([after.mode, after.inode, after.links, after.size], [0o751, before.inode, 2, 3]);
    assert.equal(await text("other-name"), "new");
  });

  it("writes through symbolic links, to where they lead", async () => {
    await put("real", "old");
    await files().symlink("real", "link");
    await put("link", "new");
    assert.equal((await files().stat("link")).kind, "symlink");
    assert.equal(await text("real"), "new");
    await files().symlink("not-yet", "dangling");
    await put("dangling", "made");
    assert.equal(await text("not-yet"), "made");
  });

  it("makes missing parents when asked, and refuses to overwrite when asked", async () => {
    await assert.rejects(put("x/y/z", "1"), failsWith("not_found"));
    await put("x/y/z", "1", { parents: true });
    await assert.rejects(put("x/y/z", "2", { exclusive: true }), failsWith("already_exists"));
    await assert.rejects(put("link", "2", { exclusive: true }), failsWith("already_exists"));
    assert.equal(await text("x/y/z"), "1");
    await put("x/fresh", "1", { exclusive: true, mode: 0o600 });
    assert.equal((await files().stat("x/fresh")).mode, 0o600);
  });

  it("says what a path is, without or with following a link", async () => {
    await files().mkdir("kinds/directory", { parents: true });
    await put("kinds/file", "12345", { mode: 0o640 });
    await files().symlink("file", "kinds/link");
    await runScript(sandboxes.shared(), "mkfifo kinds/pipe");
    const kinds = await Promise.all(["directory", "file", "link", "pipe"].map((name) => files().stat(`kinds/${name}`)));
    assert.deepEqual(
      kinds.map((one) => one.kind),
      ["directory", "file", "symlink", "other"],
    );
    const followed = await files().stat("kinds/link", { follow: true });
    assert.deepEqual([followed.kind, followed.size, followed.mode], ["file", 5, 0o640]);
    assert.ok(Math.abs(followed.mtimeMs - Date.now()) < 60_000);
    assert.equal(await files().readlink("kinds/link"), "file");
    assert.equal(await files().realpath("kinds/link"), `${sandboxes.shared().workspace}/kinds/file`);
    const listed = (await files().list("kinds")).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(listed, [
      { name: "directory", kind: "directory" },
      { name: "file", kind: "file" },
      { name: "link", kind: "symlink" },
      { name: "pipe", kind: "other" },
    ]);
  });

  it("names what is wrong", async () => {
    await put("wrong/file", "", { parents: true });
    await assert.rejects(files().read("wrong/none"), failsWith("not_found"));
    await assert.rejects(files().read("wrong"), failsWith("failed_precondition"));
    await assert.rejects(put("wrong", ""), failsWith("failed_precondition"));
    await assert.rejects(files().list("wrong/file"), failsWith("failed_precondition"));
    await assert.rejects(files().stat("wrong/file/below"), failsWith("failed_precondition"));
    await assert.rejects(files().mkdir("wrong"), failsWith("already_exists"));
    await assert.rejects(files().remove("wrong"), failsWith("failed_precondition"));
    await assert.rejects(files().remove("none"), failsWith("not_found"));
    await assert.rejects(files().readlink("wrong/file"), failsWith("failed_precondition"));
    await assert.rejects(files().read("kinds/pipe"), failsWith("failed_precondition"));
    await assert.rejects(put("kinds/pipe", "x"), failsWith("failed_precondition"));
    await assert.rejects(files().read(""), failsWith("invalid_argument"));
    await assert.rejects(files().read("a\0b"), failsWith("invalid_argument"));
    await assert.rejects(files().read("n".repeat(5000)), failsWith("invalid_argument"));
  });

  it("makes, renames, changes and removes", async () => {
    await files().mkdir("tree/a/b", { parents: true });
    await files().mkdir("tree/a/b", { parents: true });
    await put("tree/a/b/file", "x");
    await files().chmod("tree/a/b/file", 0o755);
    assert.equal((await files().stat("tree/a/b/file")).mode, 0o755);
    await files().rename("tree/a", "tree/c");
    assert.equal(await text("tree/c/b/file"), "x");
    await files().symlink(sandboxes.shared().workspace, "tree/c/out");
    await runScript(sandboxes.shared(), "mkdir tree/closed && touch tree/closed/f && chmod 0 tree/closed");
    await files().remove("tree", { recursive: true });
    await assert.rejects(files().stat("tree"), failsWith("not_found"));
    assert.equal((await files().stat("bytes")).kind, "file", "a link in the tree must not be followed");
  });

  it("carries names that are no UTF-8 there and back", async () => {
    await runScript(sandboxes.shared(), String.raw`mkdir -p names && touch "names/$(printf 'a\xff\xc3b')"`);
    const [entry] = await files().list("names");
    assert.equal(entry?.name, "a\udcff\udcc3b");
    await put(`names/${entry?.name}`, "reached");
    assert.equal((await runScript(sandboxes.shared(), "cat names/*")).stdout, "reached");
  });

  it("walks a tree in one go, depth first, with what is skipped left out", async () => {
    const script =
      "mkdir -p walk/a/deep walk/skip/x walk/b/skip walk/b/build walk/build && touch walk/a/deep/f walk/skip/x/f walk/b/skip/f walk/b/build/f walk/build/f && ln -s a walk/link";
    await runScript(sandboxes.shared(), script);
    const paths = async (skip?: string[]): Promise<string[]> => {
      const all: Array<{ path: string; stat: FileStat }> = [];
      for await (const part of files().walk("walk", skip === undefined ? {} : { skip })) all.push(...part);
      return all.map((one) => `${one.path}${one.stat.kind === "directory" ? "/" : ""}`);
    };
    assert.deepEqual(await paths(["skip", "/build"]), [
      "a/",
      "a/deep/",
      "a/deep/f",
      "b/",
      "b/build/",
      "b/build/f",
      "b/skip/",
      "build/",
      "link",
      "skip/",
    ]);
    assert.deepEqual(await paths(["a/deep"]), [
      "a/",
      "a/deep/",
      "b/",
      "b/build/",
      "b/build/f",
      "b/skip/",
      "b/skip/f",
      "build/",
      "build/f",
      "link",
      "skip/",
      "skip/x/",
      "skip/x/f",
    ]);
    await assert.rejects(async () => {
      for await (const _ of files().walk("none")) assert.fail();
    }, failsWith("not_found"));
  });

  it("walks many thousand files, and can be left early", async () => {
    await runScript(sandboxes.shared(), "mkdir -p many/{1..40} && for d in many/*; do (cd $d && touch {1..100}); done");
    let seen = 0;
    for await (const part of files().walk("many")) seen += part.length;
    assert.equal(seen, 40 + 40 * 100);
    for await (const part of files().walk("many")) if (part.length > 0) break;
    assert.equal((await files().stat("many")).kind, "directory");
  });
}

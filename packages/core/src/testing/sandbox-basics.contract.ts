import assert from "node:assert/strict";
import { it } from "node:test";

import type { ExecSpec, FileStat, Sandbox, SandboxFiles } from "../ports/sandbox.ts";
import type { Sandboxes } from "./sandbox-fixture.ts";
import { failsWith, finish } from "./sandbox-run.ts";

/** What every sandbox promises, shown with nothing but programs that POSIX has: the part of the contract that the fake keeps too. */
export function sandboxBasicsContract(sandboxes: Sandboxes): void {
  const run = async (argv: ExecSpec["argv"], spec: Partial<ExecSpec> = {}, sandbox = sandboxes.shared()) => {
    const execution = await sandbox.exec({ argv, ...spec });
    const done = await finish(execution);
    await execution.close();
    return done;
  };
  const files = (): SandboxFiles => sandboxes.shared().files;
  const put = (path: string, text: string, options?: Parameters<SandboxFiles["write"]>[2]): Promise<void> =>
    files().write(path, Buffer.from(text), options);
  const text = async (path: string): Promise<string> => Buffer.from(await files().read(path)).toString("utf8");

  it("runs a program to its exit code, in the workspace or where it is told", async () => {
    assert.equal((await run(["/bin/pwd"])).stdout, `${sandboxes.shared().workspace}\n`);
    await files().mkdir("basics/here", { parents: true });
    const cwd = `${sandboxes.shared().workspace}/basics/here`;
    assert.equal((await run(["/bin/pwd"], { cwd })).stdout, `${cwd}\n`);
    const failed = await run(["/bin/false"]);
    assert.deepEqual([failed.exit.code, failed.exit.signal, failed.exit.limit, failed.stdout], [1, undefined, undefined, ""]);
    const args = ["a b", "größe 🚀", "'\"$(x)`"];
    assert.equal((await run(["/bin/echo", ...args])).stdout, `${args.join(" ")}\n`);
  });

  it("keeps output and errors apart", async () => {
    await put("basics-there", "there\n");
    const done = await run(["/bin/cat", "basics-there", "basics-missing"]);
    assert.equal(done.stdout, "there\n");
    assert.match(done.stderr, /basics-missing/);
    assert.equal(done.exit.code, 1);
  });

  it("gives the sandbox's environment and the execution's over it", async () => {
    const sandbox = await sandboxes.fresh({ env: { ONE: "sandbox", TWO: "sandbox" } });
    const { stdout } = await run(["/usr/bin/env"], { env: { TWO: "execution" } }, sandbox);
    assert.match(stdout, /^ONE=sandbox$/m);
    assert.match(stdout, /^TWO=execution$/m);
  });

  it("carries input to its end, however much there is", async () => {
    const execution = await sandboxes.shared().exec({ argv: ["/bin/cat"], input: true });
    const sent = Buffer.alloc(700_000, Buffer.from([0, 255, 10, 13, 128]));
    const writing = (async () => {
      for (let at = 0; at < sent.length; at += 50_000) await execution.write(sent.subarray(at, at + 50_000));
      await execution.closeInput();
    })();
    const received: Uint8Array[] = [];
    for await (const { bytes } of execution.output) received.push(bytes);
    await writing;
    assert.ok(Buffer.concat(received).equals(sent));
    await assert.rejects(execution.write(Buffer.from("x")), failsWith("failed_precondition"));
    const without = await sandboxes.shared().exec({ argv: ["/bin/cat"] });
    await assert.rejects(without.write(Buffer.from("x")), failsWith("failed_precondition"));
    assert.equal((await finish(without)).stdout, "");
  });

  it("refuses what cannot start", async () => {
    const sandbox = sandboxes.shared();
    await assert.rejects(sandbox.exec({ argv: ["no-such-program"] }), failsWith("not_found"));
    await assert.rejects(sandbox.exec({ argv: ["/bin/true"], cwd: "/no/such/place" }), failsWith("not_found"));
    await assert.rejects(sandbox.exec({ argv: ["/bin/true"] }, AbortSignal.abort()), failsWith("cancelled"));
  });

  it("ends a process by signal, by its abort signal, by wall time and by closing its handle", async () => {
    const sandbox = sandboxes.shared();
    const sleep = (spec: Partial<ExecSpec> = {}, signal?: AbortSignal) => sandbox.exec({ argv: ["/bin/sleep", "300"], ...spec }, signal);
    const signalled = await sleep();
    await assert.rejects(signalled.signal("SIGNONE"), failsWith("invalid_argument"));
    await signalled.signal("SIGTERM");
    assert.equal((await signalled.exit).signal, "SIGTERM");
    const control = new AbortController();
    const aborted = await sleep({}, control.signal);
    control.abort();
    assert.equal((await aborted.exit).signal, "SIGKILL");
    const late = await (await sleep({ limits: { wallSeconds: 0.2 } })).exit;
    assert.deepEqual([late.signal, late.limit], ["SIGKILL", "wall"]);
    const closed = await sleep();
    await closed.close();
    assert.equal((await closed.exit).signal, "SIGKILL");
    const kept = await sleep({ detached: true });
    await kept.close();
    assert.equal(await Promise.race([kept.exit, Promise.resolve("running")]), "running");
    await kept.signal("SIGKILL");
    assert.equal((await kept.exit).signal, "SIGKILL");
  });

  it("writes and reads files in place, by links and by ranges", async () => {
    await put("basics-digits", "0123456789", { mode: 0o640 });
    assert.equal(Buffer.from(await files().read("basics-digits", { offset: 3, length: 4 })).toString(), "3456");
    const before = await files().stat("basics-digits");
    await files().symlink("basics-digits", "basics-link");
    await put("basics-link", "new");
    const after = await files().stat("basics-digits");
    assert.deepEqual([after.mode, after.inode, after.size], [0o640, before.inode, 3]);
    assert.equal((await files().stat("basics-link")).kind, "symlink");
    assert.equal((await files().stat("basics-link", { follow: true })).kind, "file");
    assert.equal(await files().readlink("basics-link"), "basics-digits");
    assert.equal(await files().realpath("basics-link"), `${sandboxes.shared().workspace}/basics-digits`);
  });

  it("names what is wrong with a path", async () => {
    await put("basics-wrong/file", "", { parents: true });
    await assert.rejects(files().read("basics-wrong/none"), failsWith("not_found"));
    await assert.rejects(put("basics-none/x", ""), failsWith("not_found"));
    await assert.rejects(files().read("basics-wrong"), failsWith("failed_precondition"));
    await assert.rejects(put("basics-wrong", ""), failsWith("failed_precondition"));
    await assert.rejects(files().list("basics-wrong/file"), failsWith("failed_precondition"));
    await assert.rejects(files().stat("basics-wrong/file/below"), failsWith("failed_precondition"));
    await assert.rejects(files().mkdir("basics-wrong"), failsWith("already_exists"));
    await assert.rejects(put("basics-wrong/file", "", { exclusive: true }), failsWith("already_exists"));
    await assert.rejects(files().remove("basics-wrong"), failsWith("failed_precondition"));
    await assert.rejects(files().remove("basics-none"), failsWith("not_found"));
    await assert.rejects(files().readlink("basics-wrong/file"), failsWith("failed_precondition"));
    for (const path of ["", "a\0b", "n".repeat(5000)]) await assert.rejects(files().read(path), failsWith("invalid_argument"));
  });

  it("walks a tree in order with what is skipped left out, renames and removes it", async () => {
    for (const path of ["a/deep/f", "skip/f", "b/skip/f", "build/f", "b/build/f"]) await put(`basics-tree/${path}`, "", { parents: true });
    const all: Array<{ path: string; stat: FileStat }> = [];
    for await (const part of files().walk("basics-tree", { skip: ["skip", "/build", "a/deep"] })) all.push(...part);
    const told = all.map(({ path, stat }) => `${path}${stat.kind === "directory" ? "/" : ""}`);
    assert.deepEqual(told, ["a/", "a/deep/", "b/", "b/build/", "b/build/f", "b/skip/", "build/", "skip/"]);
    await files().rename("basics-tree/a", "basics-tree/c");
    assert.equal(await text("basics-tree/c/deep/f"), "");
    await files().chmod("basics-tree/c/deep/f", 0o755);
    assert.equal((await files().stat("basics-tree/c/deep/f")).mode, 0o755);
    await files().remove("basics-tree", { recursive: true });
    await assert.rejects(files().stat("basics-tree"), failsWith("not_found"));
  });

  it("tells changes once, of what is tracked", async () => {
    const sandbox = await sandboxes.fresh();
    const changed = async () => {
      const { overflow, paths } = await sandbox.changes.changes();
      assert.equal(overflow, false);
      return paths.toSorted();
    };
    await sandbox.files.mkdir("seen");
    await sandbox.files.mkdir("unseen");
    await sandbox.changes.track(["", "seen"]);
    assert.deepEqual(await changed(), []);
    await sandbox.files.write("seen/a", Buffer.from("1"));
    await sandbox.files.write("unseen/a", Buffer.from("1"));
    await sandbox.files.symlink("seen", "link");
    assert.deepEqual(await changed(), ["link", "seen/a"]);
    await sandbox.files.rename("seen/a", "seen/b");
    await sandbox.files.chmod("seen/b", 0o600);
    await sandbox.files.remove("link");
    assert.deepEqual(await changed(), ["link", "seen/a", "seen/b"]);
    assert.deepEqual(await changed(), []);
  });

  it("is gone when it is disposed of, with all that ran in it", async () => {
    await assert.rejects(sandboxes.fixture().provider.create({ id: "refused", workspace: "relative" }), failsWith("invalid_argument"));
    await assert.rejects(
      sandboxes.fixture().provider.create({ id: "../up", workspace: sandboxes.shared().workspace }),
      failsWith("invalid_argument"),
    );
    const sandbox: Sandbox = await sandboxes.fresh();
    await assert.rejects(sandbox.connect(0), failsWith("invalid_argument"));
    await assert.rejects(sandbox.connect(9), failsWith("unavailable"));
    const execution = await sandbox.exec({ argv: ["/bin/sleep", "300"] });
    assert.ok((await sandbox.usage()).processes >= 1);
    await sandbox.renew();
    await Promise.all([sandbox.dispose(), sandbox.dispose()]);
    assert.equal((await execution.exit).signal, "SIGKILL");
    assert.equal(await sandbox.gone, "disposed");
    await assert.rejects(sandbox.exec({ argv: ["/bin/true"] }), failsWith("unavailable"));
    await assert.rejects(sandbox.files.read("x"), failsWith("unavailable"));
    await assert.rejects(sandbox.usage(), failsWith("unavailable"));
  });
}

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Sandbox } from "@guildhall/core";
import { runScript, type SandboxFixture } from "@guildhall/core/testing";

import { providerFixture } from "../testing/provider-fixture.ts";
import { BubblewrapProvider } from "./provider.ts";

const run = promisify(execFile);

describe("the system call filter", () => {
  let fixture: SandboxFixture;
  let sandbox: Sandbox;
  let answers: Map<string, number>;

  before(async () => {
    fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir }));
    const workspace = await fixture.newWorkspace();
    const source = fileURLToPath(new URL("../../native/test/attempts.c", import.meta.url));
    await run("gcc", ["-D_GNU_SOURCE", "-static", "-o", `${workspace}/attempts`, source]);
    sandbox = await fixture.provider.create({ id: `escape-${process.pid}`, workspace });
    const { stdout } = await runScript(sandbox, "./attempts");
    answers = new Map(
      stdout
        .trim()
        .split("\n")
        .map((line) => [line.split(" ")[0] ?? "", Number(line.split(" ")[1])]),
    );
  });
  after(async () => {
    await sandbox.dispose();
    await fixture.close();
  });

  it("refuses everything on its list", () => {
    assert.ok(answers.size > 50, `${answers.size} attempts`);
    const through = [...answers].filter(([name, errno]) => errno === 0 && name !== "plain-chmod").map(([name]) => name);
    assert.deepEqual(through, []);
  });

  it("answers so that programs fall back where they can", () => {
    const ENOSYS = 38;
    for (const name of ["io_uring_setup", "clone3", "openat2"]) assert.equal(answers.get(name), ENOSYS, name);
  });

  it("ends a process that speaks another architecture's calls", { skip: process.arch !== "x64" && "only x86-64 has i386's" }, () => {
    assert.equal(answers.get("i386"), -31);
    assert.equal(answers.get("x32"), 38);
  });

  it("keeps its init and keepers from those that they run", async () => {
    const script =
      "for p in 1 $PPID; do cat /proc/$p/maps /proc/$p/environ; ls /proc/$p/fd; head -c 1 /proc/$p/mem; echo x > /proc/$p/mem; done; kill -9 1; kill -STOP 1; true";
    const done = await runScript(sandbox, script);
    assert.equal(done.stdout, "");
    assert.equal((await runScript(sandbox, "cat /proc/self/oom_score_adj")).stdout, "500\n");
  });

  it("lets ordinary changes of mode pass", () => assert.equal(answers.get("plain-chmod"), 0));
});

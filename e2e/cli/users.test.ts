import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines, root } from "./guild.ts";

const isRoot = process.getuid?.() === 0;
const script = `scripted:${join(root, "samples/mend.script.yaml")}`;

/** Gives a directory and all in it to a user. */
function give(directory: string, uid: number): void {
  execFileSync("chown", ["-R", `${uid}:${uid}`, directory]);
}

describe("root", { skip: !isRoot && "this is no root" }, () => {
  it("works in its own home, and leaves files that are root's", async () => {
    verifies("F1");
    const home = new Home("/root");
    try {
      const workspace = home.sample();
      const run = await home.guild(["run", "Make the tests pass.", "--workspace", workspace, "--model", script]);
      assert.equal(run.code, 0, run.stderr + run.stdout);
      for (const name of readdirSync(workspace)) assert.equal(statSync(join(workspace, name)).uid, 0, name);
      assert.equal(
        execFileSync("git", ["status", "--short"], { cwd: workspace, encoding: "utf8" }),
        " M src/version.sh\n M tests/version.test.sh\n",
      );
    } finally {
      await home.remove();
    }
  });
});

describe("an ordinary user", { skip: !isRoot && "the other tests run as one" }, () => {
  // Every Debian has it.
  const nobody = 65534;
  let home: Home;
  before(() => {
    home = new Home();
    give(home.directory, nobody);
  });
  after(async () => {
    await home.guild(["down", "--now"], { uid: nobody });
    await home.remove();
  });

  it("works as root does", async () => {
    const workspace = home.sample();
    give(workspace, nobody);
    const run = await home.guild(["run", "Make the tests pass.", "--workspace", workspace, "--model", script, "--json"], { uid: nobody });
    assert.equal(run.code, 0, run.stderr + run.stdout);
    assert.equal(spawnSync("sh", ["run-tests.sh"], { cwd: workspace }).status, 0);
    assert.equal(statSync(join(workspace, "src/version.sh")).uid, nobody);
    assert.equal(jsonLines(run.stdout).at(-1)?.["reason"], "done");
  });

  it("is told in one line of a workspace that it cannot read", async () => {
    const workspace = mkdtempSync(join(home.directory, "locked-"));
    writeFileSync(join(workspace, "file"), "");
    chownSync(workspace, 0, 0);
    const { code, stderr } = await home.guild(["run", "x", "--workspace", workspace, "--model", script], { uid: nobody });
    assert.equal(code, 1);
    assert.match(stderr, /^guild: the workspace cannot be read .*check its owner and mode\n$/);
    rmSync(workspace, { recursive: true });
  });
});

describe("a full disk", { skip: !isRoot && "only root can mount a small one" }, () => {
  it("ends the session with one line, loses nothing, and the session goes on when there is room again", async () => {
    const disk = mkdtempSync("/tmp/guild-disk-");
    execFileSync("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=400m", "tmpfs", disk]);
    const home = new Home(disk);
    try {
      const outside = new Home();
      const workspace = outside.sample();
      const steps = [
        { calls: [{ tool: "bash", args: { command: "while [ ! -e go ]; do sleep 0.05; done; rm go", timeout_s: 600 } }] },
        ...Array.from({ length: 30 }, (_, index) => ({ calls: [{ tool: "bash", args: { command: `seq ${20_000 + index}` } }] })),
        { calls: [{ tool: "finish", args: { summary: "finished" } }] },
      ];
      const model = `scripted:${outside.write("steps.json", JSON.stringify(steps))}`;
      const run = home.start(["run", "go", "--workspace", workspace, "--model", model, "--json"]);
      const shown = await run.until(/action_started/);
      const session = String(jsonLines(shown.split("\n")[0] ?? "")[0]?.["id"]);
      spawnSync("dd", ["if=/dev/zero", `of=${join(disk, "filler")}`, "bs=64k"]);
      writeFileSync(join(workspace, "go"), "");
      const failed = await run.finished;
      assert.equal(failed.code, 1, failed.stdout.slice(-2000));
      assert.match(failed.stderr, /disk|room|space/i);
      rmSync(join(disk, "filler"));
      const resumed = await home.guild(["session", "resume", session, "--json"]);
      assert.equal(resumed.code, 0, resumed.stderr + resumed.stdout.slice(-2000));
      const events = jsonLines((await home.guild(["session", "events", session, "--json"])).stdout);
      assert.deepEqual(
        events.map((event) => event["seq"]),
        events.map((_, index) => index + 1),
      );
      await outside.remove();
    } finally {
      await home.remove();
      execFileSync("/usr/bin/umount", ["--lazy", disk]);
      rmSync(disk, { recursive: true });
    }
  });
});

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { startDockerEngine, type TestEngine } from "@guildhall/sandbox/testing";

import { Home } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("sandboxes of the product", () => {
  const home = new Home();
  const asRoot = process.getuid?.() === 0;
  let workspace = "";
  let engine: TestEngine | undefined;
  before(async () => {
    if (asRoot) engine = await startDockerEngine();
    home.write("guild/config/settings.toml", `[sandbox]\ndocker_host = "${engine?.host ?? "unix:///no/such/socket"}"\n`);
    workspace = mkdtempSync(join(home.directory, "workspace-"));
  });
  after(async () => {
    await home.remove();
    await engine?.close();
  });
  const exec = (...args: string[]): ReturnType<Home["guild"]> => home.guild(["sandbox", "exec", "--workspace", workspace, ...args]);

  it("end a command that fills the disk, and say so", async () => {
    verifies("F2");
    const filled = await exec("--limit", "disk_bytes=33554432", "--", "sh", "-c", "head -c 900M /dev/zero > big");
    assert.equal(filled.code, 3, filled.stderr);
    assert.match(filled.stderr, /ended by its limit: disk/);
    assert.equal((await exec("--", "rm", "big")).code, 0);
  });

  it("are containers where one asks for docker", { skip: !asRoot && "only root can start a Docker engine" }, async () => {
    verifies("F1");
    const done = await exec("--sandbox", "docker", "--", "sh", "-c", "grep CapEff /proc/self/status; echo made > made; id -u");
    assert.deepEqual([done.code, done.stdout], [0, "CapEff:\t0000000000000000\n60789\n"], done.stderr);
    assert.equal(await readFile(join(workspace, "made"), "utf8"), "made\n");
    const doctor = await home.guild(["doctor"]);
    assert.match(doctor.stdout, /sandbox provider docker: ready for --sandbox docker/);
  });

  it("say in one line that no Docker engine runs", async () => {
    home.write("guild/config/settings.toml", '[sandbox]\ndocker_host = "unix:///no/such/docker.sock"\n');
    const done = await exec("--sandbox", "docker", "--", "true");
    assert.equal(done.code, 1);
    assert.equal(done.stderr.trim().split("\n").length, 1, done.stderr);
    assert.match(done.stderr, /no Docker engine is running at unix:\/\/\/no\/such\/docker\.sock.*bubblewrap/);
  });
});

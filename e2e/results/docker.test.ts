import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { startDockerEngine, type TestEngine } from "@guildhall/sandbox/testing";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const isRoot = process.getuid?.() === 0;

describe("a session in a docker sandbox", { skip: !isRoot && "only root can start a Docker engine" }, () => {
  let engine: TestEngine;
  let home: Home;
  before(async () => {
    engine = await startDockerEngine();
    home = new Home();
    home.write("guild/config/settings.toml", `[sandbox]\ndocker_host = "${engine.host}"\n`);
    home.write("guild/config/policy.toml", '[[network.rules]]\nhost = "api.example.com"\n');
  });
  after(async () => {
    await home.remove();
    await engine.close();
  });

  it("has the proxy for its only way out, and is reviewed as any other", async () => {
    verifies("F1");
    verifies("F4");
    const workspace = mkdtempSync(join(home.directory, "project-"));
    writeFileSync(join(workspace, "a.txt"), "one\n");
    const command =
      "echo two >> a.txt; exec 3<>/dev/tcp/127.0.0.1/3128; " +
      "printf 'CONNECT other.example.com:443 HTTP/1.1\\r\\nhost: other.example.com:443\\r\\n\\r\\n' >&3; head -n 1 <&3; ls /sys/class/net";
    const steps = [
      { calls: [{ tool: "bash", args: { command } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "changed" } }] },
    ];
    const script = home.write("script.json", JSON.stringify({ description: "Changes.", steps }));
    const goal = ["run", "Change.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"];
    const done = await home.guild([...goal, "--review", "--sandbox", "docker"]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stdout, /HTTP\/1\.1 403/);
    assert.equal(readFileSync(join(workspace, "a.txt"), "utf8"), "one\n");
    const id = String(jsonLines(done.stdout)[0]?.["id"]);
    const events = jsonLines((await home.guild(["session", "events", id, "--json"])).stdout);
    const decided = events.filter(({ kind }) => /network/.test(String(kind)));
    assert.match(JSON.stringify(decided), /other\.example\.com/, "the refusal is an event");
    assert.equal((await home.guild(["session", "apply", id])).stdout, "applied a.txt\n");
    assert.equal(readFileSync(join(workspace, "a.txt"), "utf8"), "one\ntwo\n");
  });

  it("keeps protected files as any other", async () => {
    verifies("F4");
    const workspace = mkdtempSync(join(home.directory, "project-"));
    writeFileSync(join(workspace, ".envrc"), "mine\n");
    const steps = [
      { calls: [{ tool: "bash", args: { command: "echo evil > .npmrc; echo evil > .envrc; rm -f .envrc; cat .npmrc" } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "changed" } }] },
    ];
    const script = home.write("protected.json", JSON.stringify(steps));
    const goal = ["run", "Change.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"];
    const done = await home.guild([...goal, "--sandbox", "docker"]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stdout, /"type":"held","path":"\.npmrc"/);
    assert.deepEqual(readdirSync(workspace), [".envrc"]);
    assert.equal(readFileSync(join(workspace, ".envrc"), "utf8"), "mine\n");
  });
});

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { writeFixtureFlake } from "../../packages/environment/src/testing/fixture-flake.ts";
import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("a project with a flake", () => {
  let home: Home;
  let workspace = "";

  before(() => {
    home = new Home();
    chmodSync(home.directory, 0o755);
    const store = join(home.directory, "nix-store");
    home.write("guild/config/settings.toml", `[environment]\nnix_store = ${JSON.stringify(store)}\nnix_substituters = []\n`);
    workspace = join(home.directory, "project");
    mkdirSync(workspace);
    writeFixtureFlake(workspace, { version: "1.0.0", hook: "export HOOKED=$PWD" });
  });
  after(() => home.remove());

  const show = async () => jsonLines((await home.guild(["env", "show", "--workspace", workspace, "--json"])).stdout)[0] ?? {};

  it("is not evaluated before it is trusted, and the difference is said", async () => {
    verifies("B1");
    const before_ = await show();
    assert.equal(before_["kind"], "host");
    assert.match(String(before_["differences"]), /flake\.nix is not used: flake\.nix is not trusted/);
    assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
    const shown = await show();
    assert.deepEqual([shown["kind"], shown["source"], shown["pure"]], ["nix", "flake.nix", true]);
    assert.equal((await show())["hash"], shown["hash"]);
  });

  it("has its commands run in the flake's shell, with its hook, and nothing of the machine's", async () => {
    verifies("B1", "B2");
    const command = 'greet; echo "$GREETING $FROM_SETUP $HOOKED"; command -v python3 || echo pure';
    const steps = [
      { calls: [{ tool: "bash", args: { command } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "greeted" } }] },
    ];
    const script = home.write("greet.json", JSON.stringify({ description: "Greets.", steps }));
    const run = await home.guild(["run", "Greet.", "--workspace", workspace, "--model", `scripted:${script}`, "--json"]);
    assert.equal(run.code, 0, run.stderr + run.stdout);
    const events = jsonLines(run.stdout);
    const observed = events.find(({ kind }) => kind === "action_finished")?.["action_finished"] as Record<string, string>;
    assert.match(observed["output"] ?? "", new RegExp(`greet 1\\.0\\.0\\s+hello yes ${workspace}\\s+pure`));
    const started = events.find(({ kind }) => kind === "session_started")?.["session_started"] as Record<string, string>;
    assert.equal(started["environment_hash"], (await show())["hash"]);
    assert.match(started["system_prompt"] ?? "", /Environment: flake\.nix \(nix; sha256:/);
  });

  it("goes on without it, in one line, when it is broken, and where the sandbox cannot show it", async () => {
    writeFileSync(join(workspace, "flake.nix"), "{ outputs = ");
    assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
    const broken = await show();
    assert.equal(broken["kind"], "nix");
    assert.match(String(broken["differences"]), /flake\.nix is not used: Nix says: .*syntax error.*generation 2 stays/);
    const host = await home.guild(["env", "show", "--workspace", workspace, "--sandbox", "host", "--json"]);
    assert.match(host.stdout, /this sandbox cannot show the Nix store/);
  });
});

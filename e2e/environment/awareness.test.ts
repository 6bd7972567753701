import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines, repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("a project's environment", () => {
  let home: Home;
  let workspace = "";

  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(home.directory, path)), { recursive: true });
    writeFileSync(join(home.directory, path), text, { mode });
  };

  before(() => {
    home = new Home();
    chmodSync(home.directory, 0o755);
    workspace = join(home.directory, "shop");
    write("shop/package.json", JSON.stringify({ scripts: { test: "node --test", lint: "eslint ." } }));
    write("shop/package-lock.json", "{}");
    write("shop/.nvmrc", "v23\n");
    write("shop/compose.yaml", "services:\n  db:\n    image: postgres:16\n    ports: ['5433:5432']\n");
    repository(workspace);
    write(".nvm/versions/node/v23.1.0/bin/node", "#!/bin/sh\necho v23.1.0\n", 0o755);
  });
  after(() => home.remove());

  it("is shown with its hash, source, tools, scripts and how the project is worked on", async () => {
    verifies("B6");
    const shown = await home.guild(["env", "show", "--workspace", workspace, "--json"]);
    assert.equal(shown.code, 0, shown.stderr);
    const [environment = {}] = jsonLines(shown.stdout);
    assert.match(String(environment["hash"]), /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual([environment["source"], environment["generation"]], [".nvmrc", 1]);
    const tools = environment["tools"] as Array<Record<string, string>>;
    assert.deepEqual(
      tools.filter(({ name }) => name === "node").map(({ version, wanted }) => [version, wanted]),
      [["23.1.0", "23"]],
    );
    assert.deepEqual(environment["scripts"], [{ directory: "", manager: "npm", scripts: { lint: "eslint .", test: "node --test" } }]);
    assert.ok(Array.isArray(environment["language_servers"]));
    const again = await home.guild(["env", "show", "--workspace", workspace]);
    assert.match(again.stdout, new RegExp(String(environment["hash"])));
    assert.match(again.stdout, /test +npm test/);
  });

  it("is what a session's commands run in, is told to the agent and is in the log", async () => {
    verifies("B2", "B6");
    const steps = [
      { calls: [{ tool: "bash", args: { command: "node --version" } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "seen" } }] },
    ];
    const script = home.write("look.json", JSON.stringify({ description: "Looks.", steps }));
    const run = await home.guild(["run", "Look.", "--workspace", workspace, "--model", `scripted:${script}`, "--json"]);
    assert.equal(run.code, 0, run.stderr);
    const events = jsonLines(run.stdout);
    const observed = events.find(({ kind }) => kind === "action_finished")?.["action_finished"] as Record<string, string>;
    assert.match(observed["output"] ?? "", /v23\.1\.0/);
    const started = events.find(({ kind }) => kind === "session_started")?.["session_started"] as Record<string, string>;
    const [shown = {}] = jsonLines((await home.guild(["env", "show", "--workspace", workspace, "--json"])).stdout);
    assert.equal(started["environment_hash"], shown["hash"]);
    for (const part of [
      "node 23.1.0",
      "test: `npm test`",
      "Git: branch main",
      "Service db (compose.yaml): postgres:16, port 5433",
      "Platform: ",
    ]) {
      assert.ok(started["system_prompt"]?.includes(part), part);
    }
    const checkpoint = events.find(({ kind }) => kind === "checkpoint_made")?.["checkpoint_made"] as Record<string, string>;
    assert.equal(checkpoint["environment_hash"], shown["hash"]);
  });

  it("differs, and says how, where what is asked for is not there", async () => {
    write("other/.tool-versions", "node 99.0.0\nzig 0.12\n");
    const { code, stdout } = await home.guild(["env", "show", "--workspace", join(home.directory, "other")]);
    assert.equal(code, 0);
    assert.match(stdout, /differs \.tool-versions asks for node 99\.0\.0: here it is/);
    assert.match(stdout, /differs \.tool-versions asks for zig 0\.12: there is no zig here/);
  });
});

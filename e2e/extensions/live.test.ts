import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines, root } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("while a session runs", () => {
  let home: Home;
  let workspace = "";
  before(() => {
    home = new Home();
    workspace = home.sample();
    copyFileSync(join(root, "packages/extensions/src/testing/mcp-server.mjs"), join(workspace, "server.mjs"));
  });
  after(() => home.remove());

  const wait = (file: string) => ({
    calls: [{ tool: "bash", args: { command: `echo at ${file}; until [ -e ${file} ]; do sleep 0.1; done`, timeout_s: 300 } }],
  });
  const call = (tool: string, args: object) => ({ calls: [{ tool, args }] });

  it("a server that is added joins at the next step, asks the person through the agent, and leaves when it is removed", async () => {
    verifies("D5", "F10");
    const script = home.write(
      "script.json",
      JSON.stringify({
        description: "Waits for the test.",
        steps: [
          wait("added"),
          call("mcp__demo__ask", {}),
          call("mcp_answer", { server: "demo", action: "accept", content: { colour: "red" } }),
          call("mcp__demo__ask", {}),
          wait("removed"),
          call("mcp__demo__ask", {}),
          call("finish", { summary: "seen it come and go" }),
        ],
      }),
    );
    const run = home.start(["run", "Go.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    await run.until(/"action_started"/);
    assert.equal((await home.guild(["mcp", "add", "demo", "--", "node", "server.mjs"])).code, 0);
    writeFileSync(join(workspace, "added"), "");
    await run.until(/at removed/);
    assert.equal((await home.guild(["mcp", "remove", "demo"])).code, 0);
    writeFileSync(join(workspace, "removed"), "");
    const done = await run.finished;
    assert.equal(done.code, 0, done.stdout + done.stderr);
    const lines = jsonLines(done.stdout).map((line) => JSON.stringify(line));
    const outputs = lines.filter((line) => line.includes('"kind":"action_finished"'));
    assert.match(outputs[1] ?? "", /demo asks the person: Which colour\?/);
    assert.match(outputs[2] ?? "", /Kept for the next question of demo/);
    assert.match(outputs[3] ?? "", /\\"action\\":\\"accept\\"[^]*\\"colour\\":\\"red\\",\\"shade\\":\\"dark\\"/);
    assert.match(outputs[5] ?? "", /There is no tool/);
    assert.ok(lines.some((line) => line.includes('"actor":"part:mcp"') && line.includes("Tools that have joined: mcp__demo__add")));
    assert.ok(lines.some((line) => line.includes("Tools that are gone: mcp__demo__add")));
    const answer = lines.find((line) => line.includes("action_started") && line.includes("mcp_answer")) ?? "";
    assert.match(answer, /high/i, "an answer in the person's name is of high risk");
  });
});

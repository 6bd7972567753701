import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";

import { canonicalJson } from "@guildhall/core";

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

  it("a server may use a model once the person has agreed to exactly that, within the session's limits", async () => {
    verifies("D5", "F10");
    const writer = home.write("writer.json", JSON.stringify({ description: "Writes.", steps: [{ say: "teal" }] }));
    home.write("guild/config/settings.toml", `[routes]\nsampling = ${JSON.stringify(`scripted:${writer}`)}\n`);
    assert.equal((await home.guild(["mcp", "add", "demo", "--", "node", "server.mjs"])).code, 0);
    const wanted = { server: "demo", system: "One word.", messages: [{ role: "user", text: "Name a colour." }], maxTokens: 50 };
    const request = `smp_${createHash("sha256").update(canonicalJson(wanted)).digest("hex").slice(0, 12)}`;
    const steps = [
      call("mcp__demo__sample", {}),
      call("mcp_sample", { server: "demo", request }),
      call("mcp__demo__sample", {}),
      call("finish", { summary: "asked a model" }),
    ];
    const script = home.write("sampling.json", JSON.stringify({ description: "Lets it.", steps }));
    const run = await home.guild(["run", "Go.", "--workspace", workspace, "--model", `scripted:${script}`, "--json"]);
    assert.equal(run.code, 4, run.stdout + run.stderr);
    assert.match(run.stdout, new RegExp(`demo wants a model to write up to 50 tokens \\(request ${request}\\)`));
    const session = String(jsonLines(run.stdout)[0]?.["id"]);
    const shown = await home.guild(["approval", "show", session]);
    assert.match(shown.stdout, /demo has a model write and reads it: system: One word\. user: Name a colour\./);
    assert.equal((await home.guild(["approval", "grant", session])).code, 0);
    const status = async (): Promise<unknown> =>
      jsonLines((await home.guild(["session", "show", session, "--json"])).stdout)[0]?.["status"];
    while (!["done", "failed"].includes(String(await status()))) await setTimeout(100);
    const outputs = jsonLines((await home.guild(["session", "events", session, "--json"])).stdout)
      .filter(({ kind }) => kind === "action_finished")
      .map((line) => JSON.stringify(line));
    assert.match(outputs[1] ?? "", /Kept for the next request of demo[^]*teal/);
    assert.match(outputs[2] ?? "", /\\"text\\":\\"teal\\"/);
  });
});

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines, root } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("MCP servers", () => {
  let home: Home;
  let workspace = "";
  before(() => {
    home = new Home();
    workspace = home.sample();
    copyFileSync(join(root, "packages/extensions/src/testing/mcp-server.mjs"), join(workspace, "server.mjs"));
    mkdirSync(join(workspace, ".guildhall"));
    configure({ local: { command: "node", args: ["server.mjs"], env: { SAID: "hello" } } });
  });
  after(() => home.remove());

  const configure = (mcpServers: object): void =>
    writeFileSync(join(workspace, ".guildhall/mcp.json"), JSON.stringify({ mcpServers }, undefined, 2));
  const trust = async (): Promise<void> => {
    const [shown] = jsonLines((await home.guild(["trust", "show", workspace, "--json"])).stdout);
    const done = await home.guild(["trust", "add", workspace, "--digest", String(shown?.["digest"])]);
    assert.equal(done.code, 0, done.stderr);
  };
  const call = async (name: string, args: object) => {
    const done = await home.guild(["tool", "call", name, "--args", JSON.stringify(args), "--workspace", workspace, "--json"]);
    return jsonLines(done.stdout)[0] ?? { output: done.stderr };
  };

  it("of a project do nothing before a person has trusted them; then they run in the sandbox", async () => {
    verifies("D4", "F4");
    assert.match(String((await call("mcp__local__add", { a: 2, b: 3 }))["output"]), /There is no tool/);
    await trust();
    assert.deepEqual((await call("mcp__local__add", { a: 2, b: 3 }))["output"], "5");
    const where = JSON.parse(String((await call("mcp__local__where", {}))["output"])) as { cwd: string; env: string };
    assert.deepEqual([where.cwd, where.env], [workspace, "hello"]);
    assert.match(String((await call("mcp__local__add", { a: "two" }))["output"]), /`a`: expected number, got "two"; `b`: missing/);
  });

  it("that die, hang or flood cost a bounded observation, and the session goes on", async () => {
    verifies("D4", "D5");
    configure({
      local: { command: "node", args: ["server.mjs"] },
      dead: { command: "node", args: ["server.mjs", "dies"] },
      hung: { command: "node", args: ["server.mjs", "hangs"], timeout_s: 2 },
      absent: { command: "no-such-program" },
    });
    await trust();
    const script = home.write(
      "script.json",
      JSON.stringify({
        description: "Uses what there is.",
        steps: [
          { calls: [{ tool: "tool_search", args: { query: "add numbers" } }] },
          { calls: [{ tool: "mcp__local__die", args: {} }] },
          { calls: [{ tool: "mcp__local__flood", args: {} }] },
          { calls: [{ tool: "mcp__local__grow", args: {} }] },
          { expect: { contains: "grown" }, calls: [{ tool: "mcp__local__add", args: { a: 20, b: 22 } }] },
          { expect: { contains: "42" }, calls: [{ tool: "finish", args: { summary: "went on" } }] },
        ],
      }),
    );
    const done = await home.guild(["run", "Go.", "--workspace", workspace, "--model", `scripted:${script}`, "--json"]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    const notices = [...done.stdout.matchAll(/"kind":"tools","text":"([^"]*)"/g)].map(([, text]) => text).join("\n");
    assert.match(notices, /MCP server dead: it ended \(exit code 3\); its last words: no database to connect to/);
    assert.match(notices, /MCP server hung did not answer within 2 s/);
    assert.match(notices, /MCP server absent/);
    assert.match(notices, /Tools that have joined: mcp__local__add/);
    assert.match(notices, /Tools that have joined: mcp__local__grown/, "a tool that came while the session ran");
    assert.match(done.stdout, /MCP server local: it ended \(exit code 7\); its last words: out of luck/);
    assert.match(done.stdout, /MCP server local: it floods us with messages/);
  });
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { Home, program } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("guild mcp", () => {
  let home: Home;
  let workspace = "";
  let client: Client;
  before(async () => {
    home = new Home();
    workspace = home.sample();
    client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [program, "mcp", "serve", "--workspace", workspace],
        env: home.env,
        stderr: "inherit",
      }),
    );
  });
  after(async () => {
    await client.close();
    await home.remove();
  });
  const call = async (name: string, args: Record<string, unknown>) => {
    const { content, isError } = await client.callTool({ name, arguments: args }, { timeout: 120_000 });
    const [block] = content;
    return { isError: isError === true, text: block?.type === "text" ? block.text : "" };
  };

  it("offers the agent's tools in one sandbox, whose shell keeps its state", async () => {
    verifies("D5");
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    for (const name of ["bash", "edit", "search", "python", "session_run", "session_result"]) assert.ok(names.includes(name), name);
    assert.equal(client.getNegotiatedProtocolVersion(), "2026-07-28");
    await call("bash", { command: "cd /tmp; KEPT=yes" });
    assert.match((await call("bash", { command: 'echo "$KEPT $PWD"; touch /usr/x' })).text, /yes \/tmp\n[^]*(Read-only|Permission denied)/);
    const wrong = await call("edit", { command: "view" });
    assert.ok(wrong.isError);
    assert.match(wrong.text, /`path`: missing/);
  });

  it("gives whole goals to an agent and tells what came of them", async () => {
    verifies("D5");
    const steps = [
      { calls: [{ tool: "bash", args: { command: "echo made > made.txt" } }] },
      { calls: [{ tool: "finish", args: { summary: "it is made" } }] },
    ];
    const script = home.write("script.json", JSON.stringify({ description: "Makes a file.", steps }));
    const run = JSON.parse((await call("session_run", { goal: "Make it.", model: `scripted:${script}`, wait_s: 100 })).text) as Record<
      string,
      unknown
    >;
    assert.deepEqual(run["end"], { reason: "done", summary: "it is made" });
    assert.equal(readFileSync(join(workspace, "made.txt"), "utf8"), "made\n");
    const status = JSON.parse((await call("session_status", { session: run["session"] })).text) as Record<string, unknown>;
    assert.equal(status["status"], "done");
    assert.match((await call("session_status", { session: "ses_nope" })).text, /ses_nope/);
  });
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
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

  it("serves Streamable HTTP at a loopback address to who shows the token, in both generations of the protocol", async () => {
    verifies("D5");
    const served = home.start(["mcp", "serve", "--workspace", workspace, "--listen", "127.0.0.1:0"]);
    const line = await served.until(/\{"url".*\}/);
    const { url, token } = JSON.parse(line.slice(line.indexOf("{"))) as { url: string; token: string };
    try {
      const initialize = { jsonrpc: "2.0", id: 1, method: "initialize", params: {} };
      const post = (headers: Record<string, string>): Promise<Response> =>
        fetch(url, { method: "POST", body: JSON.stringify(initialize), headers: { "content-type": "application/json", ...headers } });
      assert.equal((await post({})).status, 401);
      assert.equal((await post({ authorization: `Bearer ${token}x` })).status, 401);
      assert.equal((await post({ authorization: `Bearer ${token}`, origin: "https://evil.example.com" })).status, 403);
      for (const mode of ["auto", "legacy"] as const) {
        const one = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
        await one.connect(
          new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { authorization: `Bearer ${token}` } } }),
        );
        const { content } = await one.callTool({ name: "bash", arguments: { command: "echo over http" } }, { timeout: 120_000 });
        assert.match(JSON.stringify(content), /over http/);
        await one.close();
      }
      const elsewhere = await home.guild(["mcp", "serve", "--workspace", workspace, "--listen", "0.0.0.0:0"]);
      assert.equal(elsewhere.code, 2);
      assert.match(elsewhere.stderr, /loopback/);
    } finally {
      served.child.kill("SIGTERM");
    }
    assert.equal((await served.finished).code, 0);
  });
});

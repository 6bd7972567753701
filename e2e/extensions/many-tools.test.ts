import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines, root } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("an MCP server with 500 tools", () => {
  let home: Home;
  let workspace = "";
  before(() => {
    home = new Home();
    workspace = home.sample();
    copyFileSync(join(root, "packages/extensions/src/testing/mcp-server.mjs"), join(workspace, "server.mjs"));
    home.write("guild/config/mcp.json", JSON.stringify({ mcpServers: { big: { command: "node", args: ["server.mjs", "many"] } } }));
  });
  after(() => home.remove());

  it("leaves the prompt small, and the one that is wanted is found and called", async () => {
    verifies("D5");
    const found = { contains: "mcp__big__many_321" };
    const script = home.write(
      "script.json",
      JSON.stringify({
        description: "Searches.",
        steps: [
          { calls: [{ tool: "tool_search", args: { query: "thing number 321", limit: 1 } }] },
          { expect: found, calls: [{ tool: "mcp__big__add", args: { a: 1, b: 2 } }] },
          { expect: { contains: "3" }, calls: [{ tool: "finish", args: { summary: "found" } }] },
        ],
      }),
    );
    const done = await home.guild(["run", "Find it.", "--workspace", workspace, "--model", `scripted:${script}`, "--json"]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    const lines = jsonLines(done.stdout).map((line) => JSON.stringify(line));
    const notice = lines.find((line) => line.includes("Tools that have joined")) ?? "";
    assert.ok(notice.length < 1_000, "named by a dozen, not by all");
    assert.match(notice, /and 50\d more; find them with tool_search/);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Tool } from "@guildhall/core";
import { FakeToolSession } from "@guildhall/core/testing";
import { ActionStatus, Risk } from "@guildhall/protocol";
import { z } from "zod";

import { createBuiltInTools } from "./built-in.ts";
import { defineTool } from "./define-tool.ts";
import { OpenedTools, offerTools } from "./offer-tools.ts";
import { runTool } from "./run-tool.ts";
import { ToolSet } from "./tool-registry.ts";
import { rankTools } from "./tool-search.ts";

const VERBS = ["list", "create", "delete", "update", "get", "search", "merge", "close", "assign", "export"];
const THINGS = ["issue", "branch", "release", "label", "invoice", "customer", "calendar_event", "mailbox", "dashboard", "secret_scan"];

/** Tools as an MCP server brings them: 100 a server, each with a schema of some size. */
function foreign(count: number): Tool[] {
  return Array.from({ length: count }, (_, index) => {
    const [verb, thing] = [VERBS[index % 10] ?? "", THINGS[Math.floor(index / 10) % 10] ?? ""];
    const server = `mcp:server${Math.floor(index / 100)}`;
    return defineTool({
      name: `${verb}_${thing}_${Math.floor(index / 100)}`,
      source: server,
      description: `${verb} a ${thing.replaceAll("_", " ")} on server ${Math.floor(index / 100)}, with all its fields and relations, as the remote service documents it.`,
      schema: z.strictObject({
        owner: z.string().describe("Account that owns it"),
        name: z.string().describe("Its name, unique for the owner"),
        labels: z.array(z.string()).optional().describe("Labels to filter by or to set"),
      }),
      risk: () => Risk.MEDIUM,
      resources: () => [{ name: "*", access: "write" as const }],
      execute: async () => ({ status: "ok", output: "" }),
    }) as Tool;
  });
}

/** A careful estimate: JSON in English takes about four characters a token, and never less than three. */
const mostTokens = (value: unknown): number => Math.ceil(JSON.stringify(value).length / 3);

describe("many tools", () => {
  it("500 of them take less than 2,000 tokens of a prompt, the built-in ones included", () => {
    const tools = new ToolSet([...createBuiltInTools({ workspace: "/w" }), ...foreign(500)]);
    const offered = offerTools(tools);
    assert.ok(mostTokens(offered) < 2_000, `${mostTokens(offered)} tokens`);
    assert.equal(offered.at(-1)?.name, "tool_search");
    assert.match(offered.at(-1)?.description ?? "", /100 tools \(mcp:server4\)/);
  });

  it("take no more however few and large they are, how long their names, or how many their sources", () => {
    const large = (count: number, size: number, sources: number): Tool[] =>
      Array.from({ length: count }, (_, index) => ({
        ...(defineTool({
          name: `${"n".repeat(Math.min(50, size))}_${index}`,
          source: `mcp:${"s".repeat(Math.min(30, size))}${index % sources}`,
          description: "d".repeat(Math.min(2_000, size)),
          schema: z.strictObject({ value: z.string().describe("x".repeat(size)) }),
          risk: () => Risk.MEDIUM,
          resources: () => [],
          execute: async () => ({ status: "ok", output: "" }),
        }) as Tool),
      }));
    for (const [count, size, sources] of [
      [1, 60_000, 1],
      [10, 10, 1],
      [10, 280, 1],
      [10, 20_000, 10],
      [3, 50, 3],
      [500, 5, 500],
      [1_000, 40, 40],
    ] as const) {
      const tools = new ToolSet([...createBuiltInTools({ workspace: "/w" }), ...large(count, size, sources)]);
      const offered = offerTools(tools);
      assert.ok(mostTokens(offered) <= 2_000, `${count} of ${size} from ${sources}: ${mostTokens(offered)} tokens`);
    }
  });

  it("that are large are opened a few at a time, and the rest are named", async () => {
    const fat = foreign(10).map((tool) => ({ ...tool, name: `fat_${tool.name}`, description: "fat ".repeat(2_500) }));
    const tools = new ToolSet(fat);
    const call = { callId: "c", tool: "tool_search", arguments: '{"query": "fat", "limit": 10}' };
    const { data, output } = await runTool(tools, call, new FakeToolSession().context());
    assert.equal((data as { opened: string[] }).opened.length, 2);
    assert.match(output, /Too large to come with them[^]*fat_/);
    assert.ok(output.length < 2_000, `${output.length}`);
  });

  it("of one source that fit are shown beside another's that do not", () => {
    const few = foreign(2).map((tool) => ({ ...tool, source: "project" }));
    const many = foreign(100).map((tool) => ({ ...tool, name: `m_${tool.name}` }));
    const names = offerTools(new ToolSet([...few, ...many])).map(({ name }) => name);
    assert.deepEqual(names, [...few.map(({ name }) => name), "tool_search"]);
  });

  it("are found by what they do, and offered from then on after the others", async () => {
    const tools = new ToolSet([...createBuiltInTools({ workspace: "/w" }), ...foreign(500)]);
    const before = offerTools(tools);
    const call = { callId: "c", tool: "tool_search", arguments: '{"query": "merging a branch", "limit": 3}' };
    const result = await runTool(tools, call, new FakeToolSession().context());
    const { opened } = result.data as { opened: string[] };
    assert.equal(opened.length, 3);
    for (const name of opened) assert.match(name, /^merge_branch/);
    const after = offerTools(tools, opened);
    assert.deepEqual(after.slice(0, before.length), before, "what stood before stays");
    assert.deepEqual(
      after.slice(before.length).map(({ name }) => name),
      opened,
    );
  });

  it("are not all named to a model that calls one there is not", async () => {
    const tools = new ToolSet([...createBuiltInTools({ workspace: "/w" }), ...foreign(500)]);
    const call = { callId: "c", tool: "merge_branch_9", arguments: "{}" };
    const { output } = await runTool(tools, call, new FakeToolSession().context());
    assert.match(output, /There is no tool "merge_branch_9"\. Did you mean merge_branch_\d\? Tools: bash, .*tool_search\./);
    assert.ok(output.length < 300, `${output.length}`);
  });

  it("come and go: what is gone is neither found nor offered", () => {
    const tools = new ToolSet(foreign(100));
    assert.equal(offerTools(tools, ["merge_branch_0"]).length, 2);
    tools.remove("merge_branch_0");
    assert.equal(offerTools(tools, ["merge_branch_0"]).length, 1);
    assert.deepEqual(
      rankTools(tools.list(), "merge_branch_0").filter(({ name }) => name === "merge_branch_0"),
      [],
    );
  });
});

describe("few tools", () => {
  it("are all offered, and no search", () => {
    const tools = new ToolSet(foreign(5));
    assert.equal(offerTools(tools).length, 5);
  });

  it("are searched for when they are lazy, by name before all else", () => {
    const lazy = foreign(20).map((tool) => ({ ...tool, lazy: true, source: "built-in" }));
    const tools = new ToolSet(lazy);
    assert.deepEqual(
      offerTools(tools).map(({ name }) => name),
      ["tool_search"],
    );
    assert.equal(rankTools(lazy, "create_issue_0")[0]?.name, "create_issue_0");
    assert.deepEqual(rankTools(lazy, "zebra"), []);
  });

  it("a set made of another's tools searches its own", async () => {
    const all = new ToolSet(foreign(100));
    const some = new ToolSet(all.list().filter((tool) => !tool.name.startsWith("merge")));
    const call = { callId: "c", tool: "tool_search", arguments: '{"query": "merge_branch_0"}' };
    const { data } = await runTool(some, call, new FakeToolSession().context());
    assert.ok(!(data as { opened: string[] }).opened.some((name) => name.startsWith("merge")));
  });
});

describe("OpenedTools", () => {
  const seen = (tool: string, opened: string[] = [], status: ActionStatus = ActionStatus.OK) => ({
    tool,
    status,
    data: tool === "tool_search" ? JSON.stringify({ opened }) : "",
  });

  it("takes what searches found and what was called from observations, and starts anew after a rewind", () => {
    const opened = new OpenedTools();
    const log = [seen("tool_search", ["a", "b"]), seen("c"), seen("d", [], ActionStatus.ERROR)];
    assert.deepEqual([...opened.of(log)], ["a", "b", "c"]);
    assert.deepEqual([...opened.of([...log, seen("e")])], ["a", "b", "c", "e"]);
    assert.deepEqual([...opened.of([seen("x")])], ["x"]);
  });
});

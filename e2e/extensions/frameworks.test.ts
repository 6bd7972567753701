import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire, findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const MODULE = `
import { DynamicStructuredTool, StructuredTool, tool as langchainTool } from "@langchain/core/tools";
import { jsonSchema, tool as aiTool } from "ai";
import { z } from "zod";

export const add = aiTool({
  description: "Adds.",
  inputSchema: z.object({ a: z.number(), b: z.number().describe("the second") }),
  execute: async ({ a, b }, { toolCallId, abortSignal }) => ({ sum: a + b, told: toolCallId !== "" && abortSignal instanceof AbortSignal }),
});
export const named = aiTool({
  description: "Greets, by a schema of JSON.",
  inputSchema: jsonSchema<{ name: string }>({ type: "object", properties: { name: { type: "string" } }, required: ["name"] }),
  execute: async ({ name }) => "hello " + name,
});
export const tools = [
  langchainTool(({ text }: { text: string }) => [...text].reverse().join(""), {
    name: "reverse", description: "Reverses a text.", schema: z.object({ text: z.string() }),
  }),
  new DynamicStructuredTool({
    name: "multiply", description: "Multiplies.", schema: z.object({ a: z.number(), b: z.number() }), func: async ({ a, b }) => String(a * b),
  }),
];
class Failing extends StructuredTool {
  name = "failing";
  description = "Never works.";
  schema = z.object({ why: z.string() });
  async _call({ why }: { why: string }): Promise<string> { throw new RangeError("because of " + why); }
}
export default new Failing();
`;

describe("tools written for the AI SDK and for LangChain, with the real packages", () => {
  let home: Home;
  let workspace = "";
  before(async () => {
    home = new Home();
    workspace = home.sample();
    for (const name of ["ai", "@langchain/core", "zod"]) install(name, import.meta.filename, workspace);
    writeFileSync(join(workspace, ".gitignore"), "node_modules\n");
    mkdirSync(join(workspace, ".guildhall/tools"), { recursive: true });
    writeFileSync(join(workspace, ".guildhall/tools/theirs.ts"), MODULE);
    const [shown] = jsonLines((await home.guild(["trust", "show", workspace, "--json"])).stdout);
    assert.equal((await home.guild(["trust", "add", workspace, "--digest", String(shown?.["digest"])])).code, 0);
  });
  after(() => home.remove());

  it("are tools like any other: with their names, schemas, results and failures", async () => {
    verifies("D4", "D5");
    const listed = jsonLines((await home.guild(["tool", "list", "--workspace", workspace, "--json"])).stdout);

    const schema = listed.find(({ name }) => name === "project__add")?.["schema"] as {
      properties: Record<string, unknown>;
      required: string[];
    };
    assert.deepEqual(schema.required, ["a", "b"]);
    assert.deepEqual(schema.properties["b"], { type: "number", description: "the second" });
    const calls = [
      { name: "project__add", args: { a: 40, b: 2 } },
      { name: "project__named", args: { name: "Ada" } },
      { name: "project__reverse", args: { text: "abc" } },
      { name: "project__multiply", args: { a: 6, b: 7 } },
      { name: "project__failing", args: { why: "the rain" } },
      { name: "project__reverse", args: { text: 5 } },
    ];
    const script = home.write("calls.json", JSON.stringify(calls));
    const results = jsonLines((await home.guild(["tool", "call", "--script", script, "--workspace", workspace, "--json"])).stdout);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["ok", "ok", "ok", "ok", "error", "error"],
      JSON.stringify(results),
    );
    const outputs = results.map(({ output }) => String(output));
    assert.deepEqual(JSON.parse(outputs[0] ?? ""), { sum: 42, told: true });
    assert.deepEqual(outputs.slice(1, 4), ["hello Ada", "cba", "42"]);
    assert.match(outputs[4] ?? "", /RangeError: because of the rain/);
    assert.match(outputs[5] ?? "", /was not run: `text`/);
  });
});

/** The package and what it needs into the workspace's `node_modules`; only what runs. */
function install(name: string, from: string, workspace: string): void {
  const file = findPackageJSON(name, from);
  assert.ok(file !== undefined, `${name} is not installed`);
  const target = join(workspace, "node_modules", name);
  const known = createRequire(join(target, "x.js"));
  try {
    known.resolve(`${name}/package.json`);
    return;
  } catch {
    // Not there yet.
  }
  cpSync(dirname(file), target, {
    recursive: true,
    filter: (source) => !/\.(map|d\.[cm]?ts|md|mdx|cjs)$|^\/(src|docs)$|\/(ranks|node_modules)$/.test(source.slice(dirname(file).length)),
  });
  const { dependencies = {} } = JSON.parse(readFileSync(file, "utf8")) as { dependencies?: Record<string, string> };
  for (const needed of Object.keys(dependencies)) install(needed, file, workspace);
}

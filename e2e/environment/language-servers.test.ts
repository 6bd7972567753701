import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("language servers", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("say what an agent's edit has broken with that edit's observation, and answer its questions, in the sandbox", async () => {
    verifies("B6", "H1");
    const workspace = join(home.directory, "shop");
    mkdirSync(workspace);
    writeFileSync(join(workspace, "package.json"), "{}");
    writeFileSync(join(workspace, "tsconfig.json"), '{"compilerOptions": {"strict": true, "types": []}}');
    writeFileSync(join(workspace, "a.ts"), "export function add(a: number, b: number): number {\n  return a + b;\n}\n");
    const steps = [
      {
        calls: [
          { tool: "edit", args: { command: "str_replace", path: "a.ts", old_str: "return a + b;", new_str: "return String(a + b);" } },
        ],
      },
      { calls: [{ tool: "lsp", args: { operation: "references", path: "a.ts", line: 1, symbol: "add" } }] },
      { calls: [{ tool: "edit", args: { command: "str_replace", path: "a.ts", old_str: "String(a + b)", new_str: "a + b" } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "mended" } }] },
    ];
    const script = home.write("types.json", JSON.stringify({ description: "Types.", steps }));
    const run = await home.guild(["run", "Types.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    assert.equal(run.code, 0, run.stderr + run.stdout);
    const outputs = jsonLines(run.stdout)
      .filter(({ kind }) => kind === "action_finished")
      .map((event) => (event["action_finished"] as Record<string, string>)["output"] ?? "");
    assert.match(outputs[0] ?? "", /new with this edit\]\na\.ts:2:3: error 2322: Type 'string' is not assignable to type 'number'/);
    assert.match(outputs[1] ?? "", /a\.ts:1:17: export function add/);
    assert.match(outputs[2] ?? "", /1 problem of a\.ts gone with this edit, none new/);
  });
});

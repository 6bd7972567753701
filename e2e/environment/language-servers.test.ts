import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
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

  it("are one for the sessions of a directory, and told of what commands write beside them", async () => {
    verifies("B6", "B7", "H1");
    const workspace = join(home.directory, "together");
    mkdirSync(workspace);
    writeFileSync(join(workspace, "package.json"), "{}");
    writeFileSync(join(workspace, "tsconfig.json"), '{"compilerOptions": {"strict": true, "types": []}}');
    writeFileSync(join(workspace, "a.ts"), 'import { c } from "./c";\nexport const n: number = c;\n');
    const ask = { tool: "lsp", args: { operation: "diagnostics", path: "a.ts" } };
    const write = (value: string) => ({ tool: "bash", args: { command: `echo 'export const c = ${value};' > c.ts; sleep 0.2` } });
    const run = async (name: string, steps: unknown[]): Promise<string[]> => {
      const script = home.write(`${name}.json`, JSON.stringify({ description: "Together.", steps }));
      const done = await home.guild(["run", "Together.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
      assert.equal(done.code, 0, done.stderr + done.stdout);
      return jsonLines(done.stdout)
        .filter(({ kind }) => kind === "action_finished")
        .map((event) => (event["action_finished"] as Record<string, string>)["output"] ?? "");
    };
    const end = { calls: [{ tool: "finish", args: { done: true, summary: "asked" } }] };
    const first = await run("first", [{ calls: [ask] }, { calls: [write("1")] }, { calls: [ask] }, end]);
    assert.match(first[0] ?? "", /Cannot find module/);
    assert.match(first[2] ?? "", /no problems/);
    const second = await run("second", [{ calls: [ask] }, { calls: [write("String(1)")] }, { calls: [ask] }, end]);
    assert.match(second[0] ?? "", /no problems/);
    assert.match(second[2] ?? "", /Type 'string' is not assignable to type 'number'/);
    // Both sessions are still warm.
    assert.equal(serversIn(workspace).length, 1);
  });
});

/** Processes of TypeScript's server that work in a directory. */
function serversIn(directory: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0--lsp\0") && readlinkSync(`/proc/${pid}/cwd`).endsWith(directory);
    } catch {
      return false; // ended meanwhile, or no process
    }
  });
}

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines } from "./guild.ts";

const script = `
steps:
  - calls:
      - tool: tool_search
        args: { query: run python code }
  - expect: { contains: python }
    calls:
      - tool: python
        args: { code: "6 * 7" }
  - expect: { contains: "42" }
    calls:
      - tool: finish
        args: { summary: found and used }
`;

describe("the agent's tools", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("can all be listed and called without a model, in one sandbox", async () => {
    verifies("D4", "D6", "D7", "D10", "D11");
    const list = jsonLines((await home.guild(["tool", "list", "--workspace", home.sample(), "--json"])).stdout);
    const names = list.map((line) => line["name"]);
    for (const name of ["apply_patch", "process", "ports", "system", "python", "node", "ast", "tool_search"])
      assert.ok(names.includes(name), name);
    assert.ok(list.every((line) => line["source"] === "built-in" && (line["schema"] as { type: string }).type === "object"));

    const workspace = home.sample();
    writeFileSync(join(workspace, "a.ts"), "log(1);\n");
    const calls = home.write(
      "calls.json",
      JSON.stringify([
        { name: "apply_patch", args: { patch: "*** Begin Patch\n*** Add File: b.ts\n+log(2);\n*** End Patch" } },
        { name: "ast", args: { pattern: "log($A)", language: "typescript", rewrite: "print($A)", apply: true } },
        { name: "bash", args: { command: "cat a.ts b.ts" } },
        { name: "python", args: { code: "x = 6\nx * 7" } },
        { name: "python", args: { code: "x" } },
        { name: "node", args: { code: "const y = 6; y * 7" } },
        { name: "process", args: { action: "start", command: "sleep 77" } },
        { name: "system", args: {} },
        { name: "ports", args: {} },
        { name: "process", args: { action: "stop", process: "p1" } },
      ]),
    );
    const { code, stdout, stderr } = await home.guild(["tool", "call", "--script", calls, "--workspace", workspace, "--json"]);
    assert.equal(code, 0, stdout + stderr);
    const outputs = jsonLines(stdout).map((line) => String(line["output"]));
    assert.match(outputs[2] ?? "", /^print\(1\);\nprint\(2\);\n/);
    assert.deepEqual([outputs[3], outputs[4], outputs[5]], ["42", "6", "42"]);
    assert.match(outputs[7] ?? "", /^CPU: /);
  });

  it("that are not shown at first are found by a search, and used in the next step", async () => {
    verifies("D4");
    const workspace = home.sample();
    const model = `scripted:${home.write("search.yaml", script)}`;
    const { code, stdout, stderr } = await home.guild(["run", "Count.", "--workspace", workspace, "--model", model, "--json"]);
    assert.equal(code, 0, stdout + stderr);
    assert.equal(jsonLines(stdout).at(-1)?.["summary"], "found and used");
  });
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const KEPT = "a-kept-word-8842-Zq";

describe("a secret that is kept, and granted for nothing", () => {
  let home: Home;
  before(async () => {
    home = new Home();
    assert.equal((await home.guild(["secret", "set", "KEPT"], { input: `${KEPT}\n` })).code, 0);
  });
  after(() => home.remove());

  it("is masked from the first word of a session on, and what runs has it", async () => {
    verifies("F7");
    const workspace = home.sample();
    const call = (command: string) => ({ calls: [{ tool: "bash", args: { command } }] });
    const finish = { calls: [{ tool: "finish", args: { done: true, summary: `wrote ${KEPT}` } }] };
    const steps = [call(`printf %s ${KEPT} > kept.txt`), call("cat kept.txt; base64 kept.txt"), finish];
    const script = home.write("kept.json", JSON.stringify({ description: "Writes a word.", steps }));
    const run = await home.guild(["run", `Write ${KEPT}.`, "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    assert.equal(run.code, 0, run.stderr);
    assert.equal(readFileSync(join(workspace, "kept.txt"), "utf8"), KEPT);
    const session = String(jsonLines(run.stdout)[0]?.["id"]);
    const exported = await home.guild(["session", "export", session]);
    const database = await home.guild(["db", "export"]);
    assert.match(exported.stdout, /printf %s \*\*\*/);
    for (const text of [run.stdout, exported.stdout, database.stdout]) {
      for (const form of [KEPT, Buffer.from(KEPT).toString("base64").slice(0, 20)]) assert.ok(!text.includes(form), form);
    }
  });
});

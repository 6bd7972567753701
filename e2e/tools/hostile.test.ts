import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

/** Bytes of a result that has no end in sight; a sample in the gate. */
const MANY = process.env["GUILD_TEST_FULL"] === undefined ? 100_000_000 : 1_000_000_000;

/** What no call may bring down: each is answered in bounds, and the calls after it go on in the same sandbox. */
const CALLS: Array<[name: string, args: string, answer: RegExp]> = [
  ["bash", '{"command": "ls", "__proto__": {"admin": true}}', /__proto__/],
  ["http", '{"url": "https://a.example.com", "headers": {"__proto__": "x"}}', /__proto__/],
  ["edit", '{"command": "view", "path": "out/passwd"}', /outside the workspace/],
  ["fetch", '{"url": "http://localhost:1/", "save_to": "out/x"}', /nothing in the sandbox answers|outside/],
  ["bash", `{"command": "head -c ${MANY} /dev/zero | tr '\\\\0' x", "timeout_s": 120}`, /characters left out/],
  ["bash", '{"command": "sleep 1000", "timeout_s": 0.2}', /still running/],
  ["bash", '{"input": "C-c"}', /exit code 130/],
  ["python", '{"code": "while True: pass", "timeout_s": 0.5}', /interrupted after/],
  ["python", '{"code": "print(\'x\' * 50_000_000)"}', /characters left out/],
  ["node", '{"code": "throw { toString() { throw 1 } }"}', /./],
  ["search", '{"pattern": "(a+)+$"}', /./],
  ["process", '{"action": "start", "command": "yes", "timeout_s": 0.3}', /p1/],
  ["process", '{"action": "stop", "process": "p1"}', /./],
  ["browser", '{"command": "snapshot"}', /no page is open/],
  ["desktop", '{"command": "press", "text": "a; rm -rf /"}', /is no key|no virtual display/],
  ["bash", '{"command": "echo still here"}', /^still here/],
];

describe("hostile calls", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("have a bounded answer each, and the sandbox goes on", { timeout: 300_000 }, async () => {
    verifies("B5", "D4");
    const workspace = mkdtempSync(join(home.directory, "workspace-"));
    mkdirSync(join(workspace, "a"));
    writeFileSync(join(workspace, "a/file"), `${"a".repeat(50_000)}b`);
    symlinkSync("/etc", join(workspace, "out"));
    const script = home.write("calls.json", `[${CALLS.map(([name, args]) => `{"name": "${name}", "args": ${args}}`).join(",")}]`);
    const { stdout, stderr } = await home.guild(["tool", "call", "--script", script, "--workspace", workspace, "--json"]);
    const results = jsonLines(stdout);
    assert.equal(results.length, CALLS.length, stdout.slice(0, 2_000) + stderr);
    for (const [index, [name, args, answer]] of CALLS.entries()) {
      const output = String(results[index]?.["output"]);
      assert.ok(output.length < 35_000, `${name} ${args}: ${output.length}`);
      assert.match(output, answer, `${name} ${args}`);
    }
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("what changes around a session", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("reaches the agent at its next step; what somebody else has edited is not written over unseen", async () => {
    verifies("B7");
    const workspace = home.sample();
    writeFileSync(join(workspace, "notes.txt"), "mine\n");
    const overwrite = { tool: "edit", args: { command: "create", path: "notes.txt", file_text: "agent\n" } };
    const steps = [
      { calls: [{ tool: "edit", args: { command: "view", path: "notes.txt" } }] },
      {
        calls: [
          {
            tool: "bash",
            args: { command: "python3 -m http.server 18080 >/dev/null 2>&1 & until [ -e go ]; do sleep 0.1; done; sleep 0.5" },
          },
        ],
      },
      { calls: [overwrite] },
      { calls: [{ tool: "finish", args: { done: true, summary: "seen" } }] },
    ];
    const script = home.write("watch.json", JSON.stringify({ description: "Watches.", steps }));
    const run = home.start(["run", "Watch.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    await run.until(/http\.server/);
    await run.until(/"action_started".*http\.server|http\.server.*"action_started"/s);
    execFileSync("git", ["switch", "--quiet", "--create", "feature"], { cwd: workspace });
    writeFileSync(join(workspace, "notes.txt"), "a person's\n");
    writeFileSync(join(workspace, "go"), "");
    const { code, stdout, stderr } = await run.finished;
    assert.equal(code, 0, stderr + stdout);
    const events = jsonLines(stdout);
    const bodies = (kind: string) => events.filter((event) => event["kind"] === kind).map((event) => event[kind] as Record<string, string>);
    const told = bodies("notice_given")
      .filter(({ kind }) => kind === "environment")
      .map(({ text }) => text)
      .join("\n");
    assert.match(told, /The branch is feature now; it was main/);
    assert.match(told, /Changed since you looked at it.*notes\.txt/);
    assert.match(told, /Listening now: port 18080/);
    assert.match(told, /Running in the background now: python3 \(process \d+\)/);
    assert.ok(told.length < 2_000);
    const refused = bodies("action_finished").map(({ output }) => output ?? "");
    assert.ok(
      refused.some((output) => /Refused by state: notes\.txt was changed from outside/.test(output)),
      refused.join("\n"),
    );
  });
});

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const script = `
steps:
  - calls: [{ tool: remember, args: { text: "The staging database listens on port 6543.", title: Database } }]
  - calls: [{ tool: finish, args: { summary: noted } }]
  - calls: [{ tool: recall, args: { query: "which port has the staging database" } }]
  - expect: { contains: "listens on port 6543" }
    calls: [{ tool: finish, args: { summary: found } }]
`;

describe("a session's memory", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("keeps what the agent remembers, over the end of the daemon, and the doctor says what it stands on", async () => {
    verifies("C1", "C2");
    const workspace = mkdtempSync(join(home.directory, "ws-"));
    const model = home.write("memory.yaml", script);
    const work = ["--model", `scripted:${model}`, "--json"];
    const first = await home.guild(["run", "Note how to reach the database.", "--workspace", workspace, "--sandbox", "host", ...work]);
    assert.equal(first.code, 0, first.stderr);
    const [session] = jsonLines((await home.guild(["session", "list", "--json"])).stdout);
    const id = String(session?.["id"]);
    await home.guild(["down", "--now"]);

    await home.guild(["session", "send", id, "Now use it."]);
    const second = await home.guild(["session", "resume", id, ...work]);
    assert.equal(second.code, 0, second.stdout + second.stderr);
    const events = jsonLines((await home.guild(["session", "events", id, "--json"])).stdout);
    const outputs = events.flatMap((event) =>
      event["kind"] === "action_finished" ? [(event["action_finished"] as { output: string }).output] : [],
    );
    assert.match(outputs[2] ?? "", /^- \[m_\w+, remembered\] Database: The staging database listens on port 6543\.$/m);

    const findings = jsonLines((await home.guild(["doctor", "--json"])).stdout);
    assert.match(String(findings.find((one) => one["id"] === "knowledge/session-index")?.["text"]), /FAISS/);
  });
});

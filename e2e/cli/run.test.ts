import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines, root } from "./guild.ts";

const script = join(root, "samples/mend.script.yaml");

describe("guild run", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("mends a failing test in the sandbox, durably, and the log replays byte for byte", async () => {
    verifies("A6", "B5", "D3", "D4", "D6", "D7", "F1");
    const workspace = home.sample();
    assert.notEqual(test(workspace).status, 0, "the sample's tests fail before");

    const run = await home.guild(["run", "Make the tests pass.", "--workspace", workspace, "--model", `scripted:${script}`, "--json"]);
    assert.equal(run.code, 0, run.stderr + run.stdout);
    const after = test(workspace);
    assert.equal(after.status, 0, after.stdout + after.stderr);

    const lines = jsonLines(run.stdout);
    assert.ok(lines.every((line) => typeof line["id"] === "string" && typeof line["type"] === "string"));
    const session = String(lines[0]?.["id"]);
    const seqs = lines.filter((line) => line["type"] === "event").map((line) => line["seq"]);
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index + 1),
      "no gap and no duplicate",
    );
    assert.deepEqual([lines.at(-1)?.["type"], lines.at(-1)?.["reason"], lines.at(-1)?.["exit_code"]], ["end", "done", 0]);
    const kinds = new Set(lines.map((line) => line["kind"]));
    for (const kind of [
      "session_started",
      "message_received",
      "model_replied",
      "action_started",
      "action_finished",
      "checkpoint_made",
      "turn_ended",
    ]) {
      assert.ok(kinds.has(kind), kind);
    }

    const stored = await home.guild(["session", "events", session, "--json"]);
    assert.deepEqual(
      jsonLines(stored.stdout),
      lines.filter((line) => line["type"] === "event"),
    );

    const file = join(home.directory, "session.jsonl");
    assert.equal((await home.guild(["session", "export", session, "-o", file])).code, 0);
    const replay = await home.guild(["session", "replay", file, "--json"]);
    assert.equal(replay.code, 0, replay.stdout + replay.stderr);
    assert.equal(jsonLines(replay.stdout)[0]?.["identical"], true);

    const tampered = readFileSync(file, "utf8").replace('"step":2', '"step":3');
    const differs = await home.guild(["session", "replay", home.write("tampered.jsonl", tampered)]);
    assert.equal(differs.code, 1, differs.stdout);
  });

  it("tells a person step by step what happens, in plain lines when piped", async () => {
    const workspace = home.sample();
    const { code, stdout, stderr } = await home.guild([
      "run",
      "Make the tests pass.",
      "--workspace",
      workspace,
      "--model",
      `scripted:${script}`,
    ]);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout, /\x1b/);
    assert.match(stdout, /^session ses_/m);
    assert.match(stdout, /^step 1/m);
    assert.match(stdout, /^done/m);
    assert.match(stdout, /\d+ steps/);
    assert.equal(stderr, "");
  });

  it("shows a demonstration when no model is at hand, and says so first", async () => {
    const { code, stdout, stderr } = await home.guild(["run", "Make the tests pass."]);
    assert.equal(code, 0, stderr);
    assert.match(stdout.split("\n")[0] ?? "", /demonstration.*script shipped/);
    const [copy] = readdirSync(join(home.directory, "guild/state/demonstrations"));
    assert.equal(test(join(home.directory, "guild/state/demonstrations", copy ?? "")).status, 0);
  });

  it("says how to get a model where a project of somebody's is meant, and shows nothing else in its place", async () => {
    const before = readdirSync(join(home.directory, "guild/state/demonstrations")).length;
    const inside = join(home.sample(), "src");
    const { code, stdout, stderr } = await home.guild(["run", "Make the tests pass."], { cwd: inside });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^guild: no model is at hand — set ANTHROPIC_API_KEY[^\n]+--model\n$/);
    assert.equal(readdirSync(join(home.directory, "guild/state/demonstrations")).length, before);
  });

  it("stops at a limit with exit code 3, and goes on from there", async () => {
    const workspace = home.sample();
    const run = await home.guild([
      "run",
      "Make the tests pass.",
      "--workspace",
      workspace,
      "--model",
      `scripted:${script}`,
      "--max-steps",
      "1",
      "--json",
    ]);
    assert.equal(run.code, 3, run.stderr);
    const session = String(jsonLines(run.stdout)[0]?.["id"]);
    const resumed = await home.guild(["session", "resume", session, "--max-steps", "50", "--json"]);
    assert.equal(resumed.code, 0, resumed.stderr + resumed.stdout);
    assert.equal(test(workspace).status, 0);
  });
});

/** The sample's own test command, run on the host. */
function test(workspace: string) {
  return spawnSync("sh", ["run-tests.sh"], { cwd: workspace, encoding: "utf8" });
}

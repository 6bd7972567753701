import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { temporaryDatabase } from "../services/database.ts";
import { verifies } from "../verifies.ts";
import { type Finished, Home, jsonLines, repository } from "./guild.ts";

const finish = JSON.stringify([{ calls: [{ tool: "finish", args: { summary: "nothing to do" } }] }]);

/** One clear line on stderr, nothing else there, and the exit code. */
function oneLine(finished: Finished, code: number, ...patterns: RegExp[]): void {
  const { stderr } = finished;
  assert.match(stderr, /^guild: [^\n]+\n$/);
  for (const pattern of patterns) assert.match(stderr, pattern);
  assert.equal(finished.code, code, stderr);
}

describe("bad input ends in one line that says what to do, and the right exit code", () => {
  let home: Home;
  let workspace: string;
  let script: string;
  before(async () => {
    home = new Home();
    workspace = join(home.directory, "workspace");
    mkdirSync(workspace);
    repository(workspace);
    script = `scripted:${home.write("finish.json", finish)}`;
    assert.equal((await home.guild(["up"])).code, 0);
  });
  after(() => home.remove());

  const run = (...args: string[]) => home.guild(["run", "do it", "--workspace", workspace, ...args]);

  it("models", async () => {
    oneLine(await run("--model", "nobody/large"), 2, /there is no model provider nobody/, /anthropic/);
    oneLine(await run("--model", "large"), 2, /large/, /provider/);
    oneLine(await run("--model", "anthropic/claude-sonnet-5"), 1, /ANTHROPIC_API_KEY/);
    oneLine(await run("--model", "openai-compatible/x", "--base-url", "not a url"), 2, /URL/i);
    oneLine(await run("--model", "openai-compatible/x"), 2, /base.url/i);
    oneLine(await run("--model", "scripted:/nonexistent.yaml"), 2, /nonexistent\.yaml/);
    oneLine(await run(), 1, /no model is at hand/, /ANTHROPIC_API_KEY/);
  });

  it("an unreachable server fails the turn, and the session can be resumed", async () => {
    const failed = await run("--model", "openai-compatible/x", "--base-url", "http://127.0.0.1:9/v1");
    assert.equal(failed.code, 1, failed.stderr);
    assert.match(failed.stdout, /failed: .*127\.0\.0\.1:9/);
    const session = /session (ses_\w+)/.exec(failed.stdout)?.[1] ?? "";
    const resumed = await home.guild(["session", "resume", session, "--model", script]);
    assert.equal(resumed.code, 0, resumed.stderr + resumed.stdout);
  });

  it("workspaces", async () => {
    const at = (path: string) => home.guild(["run", "do it", "--model", script, "--workspace", path]);
    oneLine(await at("missing"), 2, /no such workspace/, /missing/);
    oneLine(await at(home.write("file.txt", "")), 2, /no directory/);
    oneLine(await at("/"), 2, /whole system/);
    const plain = join(home.directory, "plain");
    mkdirSync(plain);
    const allowed = await at(plain);
    assert.equal(allowed.code, 0, allowed.stderr);
    assert.match(allowed.stderr, /^guild: .*no git repository.*git init.*\n$/);
  });

  it("arguments", async () => {
    oneLine(await home.guild(["run", " "]), 2, /goal is empty/);
    oneLine(await home.guild(["tool", "call", "bash", "--args", "{command: ls}"]), 2, /--args is no valid JSON/);
    oneLine(await home.guild(["tool", "call"]), 2, /no tool is named/);
    oneLine(await home.guild(["tool", "call", "--script", "missing.json"]), 2, /no such file/);
    oneLine(await home.guild(["tool", "call", "--script", home.write("object.json", "{}")]), 2, /no JSON list/);
    oneLine(await home.guild(["sandbox", "exec", "--limit", "ram=1", "--", "true"]), 2, /memory_bytes/);
    for (const args of [
      ["run"],
      ["fly"],
      ["run", "x", "--max-steps", "0"],
      ["run", "x", "--budget", "lots"],
      ["run", "x", "--no-such-option"],
    ]) {
      const { code, stderr } = await home.guild(args);
      assert.equal(code, 2, args.join(" "));
      assert.match(stderr, /^guild: /);
    }
  });

  it("sessions", async () => {
    oneLine(await home.guild(["session", "show", "ses_00000000000000000000"]), 2, /ses_0000/);
    oneLine(await home.guild(["session", "show", "nonsense"]), 2, /no session id/);
    const { stdout } = await run("--model", script, "--json");
    const session = String(jsonLines(stdout)[0]?.["id"]);
    oneLine(await home.guild(["session", "rewind", session, "--to", "999"]), 2, /no event 999/);
    oneLine(await home.guild(["session", "fork", session, "--at", "999"]), 2, /no event 999/);
    oneLine(await home.guild(["session", "replay", home.write("broken.jsonl", "{oops\n")]), 2, /line 1/);
    oneLine(await home.guild(["session", "replay", "missing.jsonl"]), 2, /no such file/);
    oneLine(await home.guild(["session", "interrupt", session]), 1, /nobody works on this session/);
  });

  it("a home that is no absolute path", async () => {
    oneLine(await home.guild(["session", "list"], { env: { GUILD_HOME: "relative" } }), 2, /GUILD_HOME is no absolute path/);
  });

  it("a failed call of a tool is a result, not an error of ours", async () => {
    const failed = await home.guild(["tool", "call", "no_such_tool", "--json"], { cwd: workspace });
    assert.equal(failed.code, 1);
    assert.deepEqual([jsonLines(failed.stdout)[0]?.["status"], failed.stderr], ["error", ""]);
  });

  it("a database of a newer Guildhall is left as it is", async () => {
    const database = await temporaryDatabase();
    const own = new Home();
    const env = { DATABASE_URL: database.url };
    try {
      for (const command of ["up", "down"]) assert.equal((await own.guild([command], { env })).code, 0);
      await database.outgrow();
      for (const args of [
        ["run", "do it", "--workspace", workspace, "--model", script],
        ["session", "list"],
      ]) {
        oneLine(await own.guild(args, { env }), 1, /of schema \d+/, /use the newer Guildhall/);
      }
    } finally {
      await own.remove();
      await database.close();
    }
  });

  it("errors are objects too with --json", async () => {
    const { stdout, code } = await run("--model", "nobody/large", "--json");
    assert.equal(code, 2);
    const [line] = jsonLines(stdout);
    assert.deepEqual([line?.["id"], line?.["type"], line?.["code"]], ["error", "error", "not_found"]);
  });

  it("a second run in the same workspace is refused while the first works", async () => {
    const slow = home.write("slow.json", JSON.stringify([{ delay_ms: 60_000, say: "late" }]));
    const first = home.start(["run", "wait", "--workspace", workspace, "--model", `scripted:${slow}`, "--json"]);
    await first.until(/message_received/);
    oneLine(await run("--model", script), 1, /at work in this workspace/, /guild session interrupt ses_/);
    first.child.kill("SIGINT");
    const interrupted = await first.finished;
    assert.equal(interrupted.code, 130, interrupted.stderr);
    assert.match(interrupted.stderr, /interrupting the session/);
    assert.equal(jsonLines(interrupted.stdout).at(-1)?.["reason"], "interrupted");
  });

  it("a run that follows another at once is not refused while the first, whose turn is over, still puts away", async () => {
    const slow = home.sample();
    mkdirSync(join(slow, ".guildhall"));
    writeFileSync(join(slow, ".guildhall/hooks.json"), JSON.stringify({ after_turn: [{ command: "sleep 1" }] }));
    const [shown] = jsonLines((await home.guild(["trust", "show", slow, "--json"])).stdout);
    assert.equal((await home.guild(["trust", "add", slow, "--digest", String(shown?.["digest"])])).code, 0);
    const over = home.write("over.json", JSON.stringify([{ calls: [{ tool: "finish", args: { summary: "over" } }] }]));
    for (let times = 0; times < 2; times++) {
      const { code, stderr } = await home.guild(["run", "end", "--workspace", slow, "--model", `scripted:${over}`, "--json"]);
      assert.equal(code, 0, stderr);
    }
  });

  it("a hostile repository runs nothing on the host and changes no rule", async () => {
    verifies("F4");
    const hostile = join(home.directory, "hostile");
    const marker = join(home.directory, "marker");
    mkdirSync(join(hostile, ".guildhall"), { recursive: true });
    writeFileSync(join(hostile, ".gitattributes"), "* filter=evil\n");
    writeFileSync(join(hostile, ".guildhall/policy.toml"), 'approvals = "never"\n');
    writeFileSync(join(hostile, "file.txt"), "text\n");
    repository(hostile);
    const evil = `touch ${marker}`;
    for (const [key, value] of [
      ["core.fsmonitor", evil],
      ["core.sshCommand", evil],
      ["filter.evil.clean", evil],
      ["filter.evil.smudge", evil],
      ["diff.external", evil],
    ] as const) {
      execFileSync("git", ["config", key, value], { cwd: hostile });
    }
    for (const hook of ["pre-commit", "post-checkout", "post-index-change"]) {
      writeFileSync(join(hostile, ".git/hooks", hook), `#!/bin/sh\n${evil}\n`);
      chmodSync(join(hostile, ".git/hooks", hook), 0o755);
    }
    const steps = [
      { calls: [{ tool: "bash", args: { command: "echo changed >file.txt; echo x >>.git/config; echo y >.git/hooks/pre-push; true" } }] },
      { calls: [{ tool: "finish", args: { summary: "tried" } }] },
    ];
    const config = execFileSync("cat", [join(hostile, ".git/config")], { encoding: "utf8" });
    const model = `scripted:${home.write("hostile.json", JSON.stringify(steps))}`;
    const asked = await home.guild(["run", "try", "--workspace", hostile, "--model", model]);
    assert.equal(asked.code, 4, "its own policy of asking nobody has no effect");
    assert.match(asked.stderr, /nobody has trusted it/);
    const finished = await home.guild(["run", "try", "--workspace", hostile, "--model", model, "--yes"]);
    assert.equal(finished.code, 0, finished.stderr + finished.stdout);
    assert.equal(existsSync(marker), false, "nothing ran on the host");
    assert.equal(execFileSync("cat", [join(hostile, ".git/config")], { encoding: "utf8" }), config);
    assert.equal(existsSync(join(hostile, ".git/hooks/pre-push")), false);
  });
});

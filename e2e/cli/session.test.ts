import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines, repository } from "./guild.ts";

type Line = Record<string, unknown>;

/** The body of an event. */
function detail(event: Line | undefined, kind: string): Line {
  return (event?.[kind] ?? {}) as Line;
}

describe("guild session", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  let count = 0;
  function workspace(): string {
    const directory = join(home.directory, `workspace-${++count}`);
    mkdirSync(directory);
    writeFileSync(join(directory, "text.txt"), "zero\n");
    repository(directory);
    return directory;
  }

  const script = (...steps: unknown[]) => `scripted:${home.write(`script-${++count}.json`, JSON.stringify(steps))}`;
  const bash = (command: string, more: object = {}) => ({ calls: [{ tool: "bash", args: { command, ...more } }] });
  const finish = { calls: [{ tool: "finish", args: { summary: "finished" } }] };

  async function run(directory: string, model: string): Promise<{ session: string; events: Line[] }> {
    const { code, stdout, stderr } = await home.guild(["run", "go", "--workspace", directory, "--model", model, "--json"]);
    assert.equal(code, 0, stderr + stdout);
    const lines = jsonLines(stdout);
    return { session: String(lines[0]?.["id"]), events: lines.filter((line) => line["type"] === "event") };
  }

  async function events(session: string): Promise<Line[]> {
    return jsonLines((await home.guild(["session", "events", session, "--json"])).stdout);
  }

  it("rewinds files and history, keeps the present, and undoes the rewind", async () => {
    verifies("A6");
    const directory = workspace();
    const text = () => readFileSync(join(directory, "text.txt"), "utf8");
    const { session, events: all } = await run(
      directory,
      script(bash("echo one >text.txt"), bash("echo two >text.txt; echo new >new.txt"), finish),
    );
    const first = all.find((event) => event["kind"] === "action_finished")?.["seq"];
    writeFileSync(join(directory, "mine.txt"), "by a person, after the session\n");

    const rewound = await home.guild(["session", "rewind", session, "--to", String(first), "--json"]);
    assert.equal(rewound.code, 0, rewound.stderr);
    assert.deepEqual([text(), existsSync(join(directory, "new.txt")), existsSync(join(directory, "mine.txt"))], ["one\n", false, false]);

    const last = Number((await events(session)).at(-1)?.["seq"]);
    assert.equal((await home.guild(["session", "rewind", session, "--to", String(last - 1)])).code, 0);
    assert.equal(text(), "two\n");
    assert.equal(readFileSync(join(directory, "mine.txt"), "utf8"), "by a person, after the session\n");
  });

  it("forks history and files into a folder of its own, and leaves the original alone", async () => {
    const directory = workspace();
    const model = script(bash("echo one >text.txt"), bash("cat text.txt; echo two >text.txt"), finish);
    const { session, events: all } = await run(directory, model);
    const first = Number(all.find((event) => event["kind"] === "action_finished")?.["seq"]);
    const forked = await home.guild(["session", "fork", session, "--at", String(first), "--json"]);
    assert.equal(forked.code, 0, forked.stderr);
    const [fork] = jsonLines(forked.stdout);
    const folder = String(fork?.["workspace"]);
    assert.equal(fork?.["parent_id"], session);
    assert.equal(readFileSync(join(folder, "text.txt"), "utf8"), "one\n");
    assert.equal(existsSync(join(folder, ".git/HEAD")), true);
    const hooks = join(folder, ".git/hooks");
    assert.deepEqual(existsSync(hooks) ? readdirSync(hooks) : [], []);

    const resumed = await home.guild(["session", "resume", String(fork?.["id"]), "--json"]);
    assert.equal(resumed.code, 0, resumed.stderr + resumed.stdout);
    assert.equal(readFileSync(join(folder, "text.txt"), "utf8"), "two\n");
    const copied = (await events(String(fork?.["id"]))).slice(0, first).map((event) => event["kind"]);
    assert.deepEqual(
      copied,
      all.slice(0, first).map((event) => event["kind"]),
    );
    assert.equal((await events(session)).length, all.length);
  });

  it("a message sent while it works is read at the next step, and wakes a session that rests", async () => {
    const directory = workspace();
    const model = script(
      bash("echo started; while [ ! -e go ]; do sleep 0.05; done", { timeout_s: 60 }),
      { expect: { contains: "use the other way" }, ...finish },
      { expect: { contains: "and now again" }, ...finish },
    );
    const running = home.start(["run", "go", "--workspace", directory, "--model", model, "--json"]);
    const session = String(jsonLines((await running.until(/action_started/)).split("\n")[0] ?? "")[0]?.["id"]);
    assert.equal((await home.guild(["session", "send", session, "use the other way"])).code, 0);
    writeFileSync(join(directory, "go"), "");
    const done = await running.finished;
    assert.equal(done.code, 0, done.stderr + done.stdout);

    const followed = home.start(["session", "events", session, "--follow", "--json"]);
    await followed.until(/turn_ended/);
    assert.equal((await home.guild(["session", "send", session, "and now again"])).code, 0);
    await followed.until(/turn_ended[^]*turn_ended/);
    followed.child.kill("SIGKILL");
    const seqs = (await events(session)).map((event) => event["seq"]);
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index + 1),
    );
  });

  it("pauses at a safe point, interrupts at once, and goes on from either", async () => {
    const directory = workspace();
    const wait = bash("echo x >>ran; while [ ! -e go ]; do sleep 0.05; done; rm go", { timeout_s: 600 });
    const running = home.start(["run", "go", "--workspace", directory, "--model", script(wait, wait, finish), "--json"]);
    const session = String(jsonLines((await running.until(/action_started/)).split("\n")[0] ?? "")[0]?.["id"]);
    assert.equal((await home.guild(["session", "interrupt", session, "--pause"])).code, 0);
    writeFileSync(join(directory, "go"), "");
    assert.equal((await running.finished).code, 130);
    let all = await events(session);
    assert.equal(detail(all.at(-1), "turn_ended")["reason"], "TURN_END_REASON_PAUSED");
    assert.equal(
      detail(
        all.find((event) => event["kind"] === "action_finished"),
        "action_finished",
      )["status"],
      "ACTION_STATUS_OK",
    );

    const resumed = home.start(["session", "resume", session, "--json"]);
    await resumed.until(/action_started/);
    assert.equal((await home.guild(["session", "interrupt", session])).code, 0);
    assert.equal((await resumed.finished).code, 130);
    all = await events(session);
    assert.equal(
      detail(
        all.findLast((event) => event["kind"] === "action_finished"),
        "action_finished",
      )["status"],
      "ACTION_STATUS_INTERRUPTED",
    );
    assert.equal((await home.guild(["session", "resume", session])).code, 0);
    assert.equal(readFileSync(join(directory, "ran"), "utf8"), "x\nx\n");
  });

  it("survives kill -9 of the client and of the daemon: nothing stored is lost, nothing is done twice", async () => {
    const directory = workspace();
    const model = script(bash("echo 1 >>ran"), bash("echo 2 >>ran; touch there; sleep 60", { timeout_s: 60 }), bash("cat ran"), finish);
    const running = home.start(["run", "go", "--workspace", directory, "--model", model, "--json"]);
    const shown = await running.until(/"action_finished"[^]*"action_started"/);
    const session = String(jsonLines(shown.split("\n")[0] ?? "")[0]?.["id"]);
    running.child.kill("SIGKILL");
    while (!existsSync(join(directory, "there"))) await new Promise((resolve) => setTimeout(resolve, 20));
    const before = await events(session);
    const { stdout } = await home.guild(["up", "--json"]);
    process.kill(Number(jsonLines(stdout)[0]?.["pid"]), "SIGKILL");

    const listed = jsonLines((await home.guild(["session", "show", session, "--json"])).stdout)[0];
    assert.equal(listed?.["status"], "orphaned");
    const resumed = await home.guild(["session", "resume", session]);
    assert.equal(resumed.code, 0, resumed.stderr + resumed.stdout);
    const all = await events(session);
    assert.deepEqual(all.slice(0, before.length), before);
    assert.deepEqual(
      all.map((event) => event["seq"]),
      all.map((_, index) => index + 1),
    );
    assert.equal(readFileSync(join(directory, "ran"), "utf8"), "1\n2\n", "what was cut off is not repeated");
    assert.ok(all.some((event) => (event["action_finished"] as Line | undefined)?.["status"] === "ACTION_STATUS_INTERRUPTED"));
  });

  it("is taken up again by itself after a crash where the settings say so", async () => {
    const directory = workspace();
    const model = script(bash("touch there; while [ ! -e go ]; do sleep 0.05; done", { timeout_s: 600 }), finish);
    const running = home.start(["run", "go", "--workspace", directory, "--model", model, "--json"]);
    const shown = await running.until(/"action_started"/);
    const session = String(jsonLines(shown.split("\n")[0] ?? "")[0]?.["id"]);
    while (!existsSync(join(directory, "there"))) await new Promise((resolve) => setTimeout(resolve, 20));
    process.kill(Number(jsonLines((await home.guild(["up", "--json"])).stdout)[0]?.["pid"]), "SIGKILL");
    assert.match((await running.finished).stderr, new RegExp(`continue with: guild session resume ${session}`));
    assert.equal((await home.guild(["up"], { env: { GUILD_DAEMON_RESUME_ORPHANS: "true" } })).code, 0);
    const followed = home.start(["session", "events", session, "--follow", "--json"]);
    await followed.until(/turn_ended/);
    followed.child.kill("SIGKILL");
    assert.equal(detail((await events(session)).at(-1), "turn_ended")["reason"], "TURN_END_REASON_DONE");
  });

  it("an action that needs approval ends an unattended run with exit code 4, and runs once with --yes", async () => {
    const directory = workspace();
    const risky = bash("rm -rf ../../../../nothing-of-this-name; echo risky >ran");
    const asked = await home.guild(["run", "go", "--workspace", directory, "--model", script(risky, finish)]);
    assert.equal(asked.code, 4, asked.stdout);
    assert.equal(existsSync(join(directory, "ran")), false);
    assert.match(asked.stderr, /session resume ses_/);
    const safe = bash("echo safe >ran");
    const yes = await home.guild(["run", "go", "--workspace", directory, "--model", script(safe, finish), "--yes"]);
    assert.equal(yes.code, 0, yes.stderr);
  });

  it("carries everything to another home by db export and import", async () => {
    const { session, events: all } = await run(workspace(), script(bash("seq 20000"), finish));
    const file = join(home.directory, "copy.jsonl");
    assert.equal((await home.guild(["db", "export", "-o", file])).code, 0);
    const other = new Home();
    try {
      const imported = await other.guild(["db", "import", file, "--json"]);
      assert.equal(imported.code, 0, imported.stderr);
      assert.deepEqual(jsonLines((await other.guild(["session", "events", session, "--json"])).stdout), all);
    } finally {
      await other.remove();
    }
  });
});

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { Home, jsonLines } from "./guild.ts";

const schema = { type: "object", properties: { answer: { type: "integer" } }, required: ["answer"], additionalProperties: false };
const finish = (summary: string) => ({ calls: [{ tool: "finish", args: { summary } }] });
const bash = (command: string) => ({ calls: [{ tool: "bash", args: { command } }] });
const delegate = (args: Record<string, unknown>) => ({ tool: "delegate", args });

describe("work that is handed to other agents", () => {
  let home: Home;
  before(() => {
    home = new Home();
    const role = (name: string, steps: unknown[]) => `${name} = "scripted:${home.write(`${name}.json`, JSON.stringify(steps))}"`;
    const typed = [
      bash("printf made >by-the-agent"),
      finish("too early"),
      { calls: [{ tool: "report", args: { result: { answer: "many" } } }] },
      { calls: [{ tool: "report", args: { result: { answer: 42 } } }] },
      finish("counted"),
    ];
    const long = [bash("touch begun; while [ ! -e go ]; do sleep 0.1; done; touch went"), finish("went")];
    const busy = [...Array.from({ length: 30 }, (_, step) => bash(`echo ${step}`)), finish("done")];
    const looking = [...Array.from({ length: 4 }, () => ({ calls: [{ tool: "search", args: { pattern: "sum" } }] })), finish("looked")];
    home.write(
      "guild/config/settings.toml",
      `[routes]\n${role("typed", typed)}\n${role("long", long)}\n${role("busy", busy)}\n${role("looking", looking)}\n`,
    );
  });
  after(() => home.remove());

  const script = (name: string, steps: unknown[]) => `scripted:${home.write(`${name}.json`, JSON.stringify(steps))}`;
  const show = async (session: string) => jsonLines((await home.guild(["session", "show", session, "--json"])).stdout);
  const run = (workspace: string, model: string, ...more: string[]) => [
    "run",
    "Do it.",
    "--workspace",
    workspace,
    "--model",
    model,
    "--json",
    ...more,
  ];

  it("comes back typed, beside other agents, and each is a session with a link to who began it", async () => {
    verifies("E3", "B5");
    const workspace = home.sample();
    const model = script("parent", [
      {
        calls: [
          delegate({ command: "start", goal: "Count.", result_schema: schema, model: "role:typed" }),
          delegate({ command: "start", goal: "Work on.", model: "role:long", background: true }),
        ],
      },
      { expect: { contains: ['"answer":42', "has begun"] }, calls: [{ tool: "finish", args: { summary: "too early" } }] },
      { expect: { contains: "still work for you" }, ...bash("touch go") },
      { calls: [delegate({ command: "wait" })] },
      { expect: { contains: 'status="done"' }, ...finish("all came back") },
    ]);
    const { stdout, code, stderr } = await home.guild(run(workspace, model, "--yes"));
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /"summary":"all came back"/);
    assert.equal(readFileSync(join(workspace, "by-the-agent"), "utf8"), "made");
    const [parent, ...agents] = await show(String(jsonLines(stdout)[0]?.["id"]));
    assert.equal(agents.length, 2);
    assert.deepEqual(
      agents.map((agent) => [agent["parent_id"] ?? agent["parent"], agent["status"]]),
      [
        [parent?.["id"], "done"],
        [parent?.["id"], "done"],
      ],
    );
    const events = await home.guild(["session", "events", String(agents.find((agent) => agent["title"] === "Count.")?.["id"]), "--json"]);
    assert.match(events.stdout, /has not been handed over: call report first/, "it had to hand over its result");
    assert.match(events.stdout, /The call of report was not run: `result.answer`: expected/, "in the form that was wanted");
    assert.match(events.stdout, /"delegation":\{"parent_session_id":"ses_\w+","parent_call_id":"call_1_1","depth":1/);
    assert.doesNotMatch(events.stdout, /"tool":"delegate"/);
  });

  it("goes on where it was after the daemon was killed, on both sides, and nothing is begun twice", async () => {
    verifies("E3");
    const workspace = home.sample();
    const model = script("patient", [
      { calls: [delegate({ command: "start", goal: "Wait.", model: "role:long" })] },
      { expect: { contains: 'status="done"' }, ...finish("came back") },
    ]);
    const first = home.start(run(workspace, model, "--yes"));
    const session = /"id":"(ses_\w+)"/.exec(await first.until(/"tool":"delegate"/))?.[1] ?? "";
    for (let tries = 0; !existsSync(join(workspace, "begun")); tries++) {
      assert.ok(tries < 600, "the agent never began");
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
    process.kill(Number(jsonLines((await home.guild(["up", "--json"])).stdout)[0]?.["pid"]), "SIGKILL");
    await first.finished;
    const resumed = home.start(["session", "resume", session, "--json"]);
    await home.guild(["sandbox", "exec", "--workspace", workspace, "--", "touch", "go"]);
    const { code, stdout } = await resumed.finished;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /"summary":"came back"/);
    const [, ...agents] = await show(session);
    assert.deepEqual(
      agents.map((agent) => agent["status"]),
      ["done"],
    );
  });

  it("is stopped with who handed it on", async () => {
    verifies("E3");
    const workspace = home.sample();
    const model = script("stopped", [{ calls: [delegate({ command: "start", goal: "Wait.", model: "role:long" })] }, finish("over")]);
    const started = home.start(run(workspace, model, "--yes"));
    await started.until(/"tool":"delegate"/);
    for (let tries = 0; !existsSync(join(workspace, "begun")); tries++) {
      assert.ok(tries < 600, "the agent never began");
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
    started.child.kill("SIGINT");
    const { code, stdout } = await started.finished;
    assert.equal(code, 130);
    const session = String(jsonLines(stdout)[0]?.["id"]);
    for (let tries = 0; ; tries++) {
      const [, agent] = await show(session);
      if (agent?.["status"] === "interrupted") break;
      assert.ok(tries < 100, JSON.stringify(agent));
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
  });

  it("is bounded in depth and by what is left of the limits, and agents that look for the same are told so", async () => {
    verifies("E3");
    const workspace = home.sample();
    const two = {
      calls: [
        delegate({ command: "start", goal: "Look.", model: "role:looking" }),
        delegate({ command: "start", goal: "Look too.", model: "role:looking" }),
      ],
    };
    const looked = await home.guild(run(workspace, script("lookers", [two, finish("over")]), "--yes"));
    assert.equal(looked.code, 0, looked.stdout);
    const [, ...agents] = await show(String(jsonLines(looked.stdout)[0]?.["id"]));
    const events = await Promise.all(
      agents.map(async (agent) => (await home.guild(["session", "events", String(agent["id"]), "--json"])).stdout),
    );
    assert.match(events.join(""), /Agents of this work have made this same search/);
    const spent = await home.guild(
      run(
        workspace,
        script("spender", [{ calls: [delegate({ command: "start", goal: "Use it up.", model: "role:busy" })] }, finish("over")]),
        "--yes",
        "--max-steps",
        "10",
      ),
    );
    assert.equal(spent.code, 3, spent.stdout);
    assert.match(spent.stdout, /used up its 10 steps/);
    const refused = await home.guild(
      run(
        workspace,
        script("deep", [{ calls: [delegate({ command: "start", goal: "x", model: "scripted:/etc/passwd" })] }, finish("over")]),
        "--yes",
      ),
    );
    assert.match(refused.stdout, /by its role alone/);
  });
});

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "./guild.ts";

const bash = (command: string) => ({ calls: [{ tool: "bash", args: { command } }] });
const finish = { calls: [{ tool: "finish", args: { summary: "over" } }] };

describe("sessions beside each other", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  const run = async (steps: unknown[], name: string): Promise<string> => {
    const model = `scripted:${home.write(`${name}.json`, JSON.stringify(steps))}`;
    const { stdout, stderr } = await home.guild(["run", "Do it.", "--workspace", home.sample(), "--model", model, "--yes", "--json"]);
    const session = String(jsonLines(stdout)[0]?.["id"]);
    assert.match(session, /^ses_/, stderr);
    return session;
  };

  it("are compared by their files, cost and end, and a fork by what it has in common with its parent", async () => {
    const session = await run([bash("echo one >same; echo a >changed; mkdir dir; echo x >dir/gone"), finish], "a");
    const events = jsonLines((await home.guild(["session", "events", session, "--json"])).stdout);
    const at = Number(events.findLast((event) => event["kind"] === "checkpoint_made")?.["seq"]);
    const forked = String(jsonLines((await home.guild(["session", "fork", session, "--at", String(at), "--json"])).stdout)[0]?.["id"]);
    const other = home.write(
      "b.json",
      JSON.stringify([...Array.from({ length: 2 }, () => ({ say: "" })), bash("echo b >changed; rm -r dir; echo new >new"), finish]),
    );
    assert.equal((await home.guild(["session", "model", forked, `scripted:${other}`])).code, 0);
    const sent = await home.guild(["session", "send", forked, "Go on otherwise."]);
    assert.equal(sent.code, 0, sent.stderr);
    let compared: Record<string, unknown> | undefined;
    for (let tries = 0; tries < 100; tries++) {
      [compared] = jsonLines((await home.guild(["session", "compare", session, forked, "--json"])).stdout);
      if (Array.isArray(compared?.["files"]) && compared["files"].length === 3) break;
      await new Promise((resolve) => void setTimeout(resolve, 100));
    }
    assert.deepEqual(compared?.["files"], [
      { path: "changed", difference: "different" },
      { path: "dir/gone", difference: "only_a" },
      { path: "new", difference: "only_b" },
    ]);
    assert.equal(compared?.["common_events"], at);
    assert.match(
      (await home.guild(["session", "compare", session, forked])).stdout,
      /in common +the first \d+ events\n[\s\S]*~ different +changed/,
    );
    assert.equal((await home.guild(["session", "compare", session, "ses_00000000000000000000"])).code, 2);
  });

  it("keep every checkpoint that they name when the others are collected", async () => {
    const session = await run([bash("echo one >file"), bash("echo two >file"), finish], "kept");
    const collected = await home.guild(["session", "gc", "--json"]);
    assert.equal(collected.code, 0, collected.stderr);
    assert.ok(Number(jsonLines(collected.stdout)[0]?.["workspaces"]) >= 1);
    const events = jsonLines((await home.guild(["session", "events", session, "--json"])).stdout);
    const checkpoints = events.filter((event) => event["kind"] === "checkpoint_made");
    for (const { seq } of checkpoints) {
      assert.equal((await home.guild(["session", "rewind", session, "--to", String(seq)])).code, 0, `event ${String(seq)}`);
    }
  });
});

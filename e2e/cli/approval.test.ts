import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { verifies } from "../verifies.ts";
import { Home, jsonLines } from "./guild.ts";

const script = `
steps:
  - say: I clean up and publish.
    calls:
      - tool: bash
        args: { command: "touch safe; git push origin main || touch pushed" }
      - tool: think
        args: { thought: beside it }
  - calls:
      - tool: finish
        args: { summary: over }
`;

describe("guild approval", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  async function waiting(): Promise<{ session: string; workspace: string; code: number | null; stdout: string }> {
    const workspace = home.sample();
    const model = `scripted:${home.write("risky.yaml", script)}`;
    const { stdout, stderr, code } = await home.guild(["run", "Publish it.", "--workspace", workspace, "--model", model, "--json"]);
    const session = String(jsonLines(stdout)[0]?.["id"]);
    assert.match(session, /^ses_/, stderr);
    return { session, workspace, code, stdout };
  }

  /** The session as it is shown, once it is done. */
  async function ended(session: string): Promise<Record<string, unknown>> {
    for (let tries = 0; ; tries += 1) {
      const { stdout } = await home.guild(["session", "show", session, "--json"]);
      const [line = {}] = jsonLines(stdout);
      if (line["status"] === "done" || tries > 50) return line;
      await sleep(200);
    }
  }

  it("asks about a risky command with reasons and the exact rule, runs what is beside it, and goes on when granted", async () => {
    verifies("F10");
    const { session, workspace, code, stdout } = await waiting();
    assert.equal(code, 4, stdout);
    assert.match(stdout, /"kind":"action_finished".*Noted\./, "the call beside it has run");
    assert.equal(existsSync(join(workspace, "safe")), false);

    const list = await home.guild(["approval", "list", "--json"]);
    const [line = {}] = jsonLines(list.stdout).filter((one) => one["session"] === session);
    assert.deepEqual([line["tool"], line["risk"]], ["bash", "high"]);
    assert.match(String(line["reason"]), /risk is high: it publishes commits/);
    assert.match(String(line["rule"]), /^allow bash \{"command":"touch safe; git push origin main \|\| touch pushed"\} in \//);
    const shown = await home.guild(["approval", "show", String(line["id"])]);
    assert.match(shown.stdout, /^action +sha256:[0-9a-f]{64}$/m);

    const granted = await home.guild(["approval", "grant", session, "--json"]);
    assert.equal(granted.code, 0, granted.stderr);
    assert.equal((await ended(session))["status"], "done");
    assert.equal(existsSync(join(workspace, "safe")), true);
    const again = await home.guild(["approval", "grant", String(line["id"])]);
    assert.equal(again.code, 2, "a decision is used up");
    assert.match(again.stderr, /no such action waits/);
  });

  it("tells the agent why an action is denied, and runs nothing of it", async () => {
    verifies("F10");
    const { session, workspace } = await waiting();
    const denied = await home.guild(["approval", "deny", session, "--comment", "not on a Friday"]);
    assert.equal(denied.code, 0, denied.stderr);
    assert.equal((await ended(session))["status"], "done");
    assert.equal(existsSync(join(workspace, "safe")), false);
    const events = await home.guild(["session", "events", session, "--json"]);
    assert.match(events.stdout, /said no: not on a Friday/);
  });

  it("saves the exact rule after showing it, for this session alone or the workspace, and forgets it on demand", async () => {
    verifies("F10");
    const { session } = await waiting();
    const unconfirmed = await home.guild(["approval", "grant", session, "--always"]);
    assert.equal(unconfirmed.code, 1, "nobody was there to say yes");
    assert.match(unconfirmed.stderr, /the rule: allow bash \{"command":"touch safe; git push.*— for session ses_\w+ alone/);
    assert.match((await home.guild(["approval", "rules", "list"])).stdout, /no rules are saved/);
    const granted = await home.guild(["approval", "grant", session, "--always", "--yes"]);
    assert.equal(granted.code, 0, granted.stderr);
    assert.equal((await ended(session))["status"], "done");
    const [own] = jsonLines((await home.guild(["approval", "rules", "list", "--json"])).stdout);
    assert.deepEqual([own?.["session"], own?.["tool"]], [session, "bash"]);

    const workspace = home.sample();
    const model = `scripted:${home.write("risky.yaml", script)}`;
    const run = () => home.guild(["run", "Publish it.", "--workspace", workspace, "--model", model, "--json"]);
    const other = await run();
    assert.equal(other.code, 4, "the rule of one session is nobody else's");
    const second = String(jsonLines(other.stdout)[0]?.["id"]);
    assert.equal((await home.guild(["approval", "grant", second, "--always", "--for", "workspace", "--yes"])).code, 0);
    await ended(second);
    assert.equal((await run()).code, 0, "the workspace's rule holds for its next session");
    for (const rule of jsonLines((await home.guild(["approval", "rules", "list", "--json"])).stdout)) {
      assert.equal((await home.guild(["approval", "rules", "remove", String(rule["id"])])).code, 0);
    }
    assert.equal((await run()).code, 4);
  });

  it("takes rules from the operator's policy and the verdict of a model, whose silence counts as high", async () => {
    verifies("F10");
    home.write(
      "guild/config/policy.toml",
      `[[approvals.rules]]\ntool = "bash"\nmatch = "*git push*"\ndecide = "refuse"\nreason = "nothing is published here"\n`,
    );
    const model = `scripted:${home.write("risky.yaml", script)}`;
    const refused = await home.guild(["run", "Publish it.", "--workspace", home.sample(), "--model", model, "--yes", "--json"]);
    assert.equal(refused.code, 0, refused.stderr);
    assert.match(refused.stdout, /Refused by policy: nothing is published here \(policy\.toml approvals\.rules\[0\]\)/);
    home.write("guild/config/policy.toml", "");
    const silent = home.write("silent.json", JSON.stringify([{ say: "I cannot tell.", repeat: "forever" }]));
    home.write("guild/config/settings.toml", `[approval]\njudge = "scripted:${silent}"\n`);
    const steps = [
      { calls: [{ tool: "bash", args: { command: "touch made" } }] },
      { calls: [{ tool: "finish", args: { summary: "over" } }] },
    ];
    const safe = `scripted:${home.write("safe.json", JSON.stringify(steps))}`;
    const judged = await home.guild(["run", "Make it.", "--workspace", home.sample(), "--model", safe, "--json"]);
    assert.equal(judged.code, 4, judged.stdout);
    assert.match(judged.stdout, /could not be judged/);
    home.write("guild/config/settings.toml", "");
  });

  it("never asks with --yes", async () => {
    const workspace = home.sample();
    const model = `scripted:${home.write("risky.yaml", script)}`;
    const { code, stderr } = await home.guild(["run", "Publish it.", "--workspace", workspace, "--model", model, "--yes"]);
    assert.equal(code, 0, stderr);
    assert.equal(existsSync(join(workspace, "safe")), true);
    assert.match((await home.guild(["approval", "list", "--workspace", workspace])).stdout, /nothing waits/);
  });
});

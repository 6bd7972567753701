import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("a project's own policy", () => {
  let home: Home;
  let workspace = "";
  let script = "";
  const operator = '[paths]\nread_only = ["infra"]\n';

  before(() => {
    home = new Home();
    home.write("guild/config/policy.toml", operator);
    workspace = home.sample();
    home.write(`${workspace.slice(home.directory.length + 1)}/infra/main.tf`, "original\n");
    const command = "id -u; echo changed > infra/main.tf; echo changed > .guildhall/policy.toml; echo made > new.txt";
    const steps = [
      { calls: [{ tool: "bash", args: { command } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "tried" } }] },
    ];
    script = home.write("try.json", JSON.stringify({ description: "Tries.", steps }));
  });
  after(() => home.remove());

  const run = (...more: string[]) =>
    home.guild(["run", "Try it.", "--workspace", workspace, "--model", `scripted:${script}`, "--json", ...more]);
  const trust = async (...args: string[]) => {
    const done = await home.guild(["trust", ...args, "--json"]);
    return { ...done, trust: jsonLines(done.stdout)[0] ?? {} };
  };
  const write = (text: string) => home.write(`${workspace.slice(home.directory.length + 1)}/.guildhall/policy.toml`, text);

  it("has no effect, and says so in one line, before a person has trusted it", async () => {
    verifies("F4");
    write('[approvals]\npolicy = "always"\n[tools]\ndeny = ["search"]\n');
    const first = await run("--yes");
    assert.equal(first.code, 0, first.stderr);
    const lines = first.stderr.split("\n").filter((line) => line.includes(".guildhall"));
    assert.equal(lines.length, 1, first.stderr);
    assert.match(lines[0] ?? "", /has no effect: nobody has trusted it — guild trust show/);
    const started = startedEvent(first.stdout);
    assert.match(started, /"approval_policy":"never"/);
    assert.match(started, /"search"/);
  });

  it("and the operator's protected paths cannot be changed from within", async () => {
    verifies("F4");
    const done = await run("--yes");
    assert.equal(done.code, 0, done.stderr);
    assert.equal(readFileSync(join(workspace, "infra/main.tf"), "utf8"), "original\n");
    assert.match(readFileSync(join(workspace, ".guildhall/policy.toml"), "utf8"), /always/);
    assert.equal(readFileSync(join(workspace, "new.txt"), "utf8"), "made\n");
  });

  it("narrows once it is trusted, for exactly what was shown", async () => {
    const shown = await trust("show", workspace);
    assert.equal(shown.trust["state"], "untrusted");
    const wrong = await trust("add", workspace, "--digest", "sha256:00");
    assert.deepEqual([wrong.code, (await trust("show", workspace)).trust["state"]], [1, "untrusted"]);
    assert.equal((await trust("add", workspace, "--digest", String(shown.trust["digest"]))).trust["state"], "trusted");
    const narrowed = await run("--yes");
    // The script's command is asked about now, and nobody is there to ask.
    assert.equal(narrowed.code, 4, narrowed.stderr);
    assert.match(startedEvent(narrowed.stdout), /"approval_policy":"always"/);
    assert.ok(!startedEvent(narrowed.stdout).includes('"search"'));
  });

  it("asks again after a change; until then what was trusted goes on narrowing", async () => {
    write('[approvals]\npolicy = "never"\n');
    assert.equal((await trust("show", workspace)).trust["state"], "changed");
    const changed = await run("--yes");
    assert.equal(changed.code, 4);
    assert.match(changed.stderr, /has changed since it was trusted; what was trusted goes on narrowing/);
    assert.equal((await trust("revoke", workspace)).trust["state"], "untrusted");
    assert.equal((await run("--yes")).code, 0);
  });

  it("is not trusted when it cannot be read or grants itself something", async () => {
    for (const [text, message] of [
      ["[netwrk]\n", /netwrk: there is no such key/],
      ["[network\n", /line 1/],
      ['[[secrets.grants]]\nsecret = "TOKEN"\nhost = "evil.example.com"\n', /cannot grant secrets/],
    ] as const) {
      write(text);
      const added = await home.guild(["trust", "add", workspace]);
      assert.equal(added.code, 2);
      assert.match(added.stderr, message);
      assert.equal(added.stderr.trim().split("\n").length, 1);
    }
    assert.equal((await trust("show", workspace)).trust["state"], "untrusted");
  });

  it("asks again whatever of it has changed: hooks, tools, servers, roles, skills, environments", async () => {
    verifies("F4");
    const kinds = [
      ".guildhall/policy.toml",
      ".guildhall/hooks.json",
      ".guildhall/tools/own.ts",
      ".guildhall/mcp.json",
      ".guildhall/roles/reviewer.md",
      "flake.nix",
      "flake.lock",
      ".devcontainer/devcontainer.json",
    ];
    const project = home.sample();
    const put = (path: string, text: string) => home.write(`${project.slice(home.directory.length + 1)}/${path}`, text);
    for (const path of kinds) put(path, path.endsWith(".json") ? "{}\n" : "# one\n");
    const digest = async (): Promise<string> => String((await trust("show", project)).trust["digest"]);
    let seen = await digest();
    assert.equal((await trust("add", project, "--digest", seen)).trust["state"], "trusted");
    for (const path of kinds) {
      put(path, path.endsWith(".json") ? '{ "x": 1 }\n' : "# two\n");
      const changed = await trust("show", project);
      assert.equal(changed.trust["state"], "changed", path);
      const files = changed.trust["files"] as Array<{ path: string; state: string }>;
      assert.deepEqual(
        files.filter(({ state }) => state !== "same").map((file) => [file.path, file.state]),
        [[path, "changed"]],
      );
      seen = String(changed.trust["digest"]);
      assert.equal((await trust("add", project, "--digest", seen)).trust["state"], "trusted");
    }
    assert.equal((await trust("add", project, "--digest", await digest())).code, 0);
    put("flake.nix", "# three\n");
    assert.equal((await trust("add", project, "--digest", seen)).code, 1, "what was shown before is not what is there");
    assert.equal((await trust("revoke", project)).trust["state"], "untrusted");
  });

  it("can be vouched for where there is nothing yet, and what comes later asks", async () => {
    const project = home.sample();
    assert.equal((await trust("show", project)).trust["state"], "nothing");
    assert.equal((await trust("add", project)).trust["state"], "trusted");
    home.write(`${project.slice(home.directory.length + 1)}/.guildhall/hooks.json`, "{}\n");
    assert.equal((await trust("show", project)).trust["state"], "changed");
  });

  it("and the operator's must be right before anything runs", async () => {
    writeFileSync(join(home.directory, "guild/config/policy.toml"), '[approvals]\npolicy = "sometimes"\n');
    const refused = await run("--yes");
    assert.equal(refused.code, 2);
    assert.match(refused.stdout + refused.stderr, /approvals\.policy: /);
    const doctor = await home.guild(["doctor", "--json"]);
    assert.equal(jsonLines(doctor.stdout).find(({ id }) => id === "policy")?.["level"], "problem");
    writeFileSync(join(home.directory, "guild/config/policy.toml"), operator);
  });
});

/** The first event of a run, as it was printed. */
function startedEvent(stdout: string): string {
  return stdout.split("\n").find((line) => line.includes('"session_started"')) ?? "";
}

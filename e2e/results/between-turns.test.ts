import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const bash = (command: string) => ({ calls: [{ tool: "bash", args: { command } }] });
const finish = { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] };

describe("protected files between the turns of a session", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  /** Runs a session of several turns; `meanwhile` comes after the turn of its place. Returns its id and all of its events as text. */
  const turns = async (
    workspace: string,
    steps: string[],
    meanwhile: Array<() => void | Promise<void>>,
  ): Promise<{ id: string; events: string }> => {
    const name = `${String(steps.length)}-${workspace.split("-").at(-1) ?? ""}.json`;
    const script = home.write(name, JSON.stringify(steps.flatMap((command) => [bash(command), finish])));
    const first = await home.guild(["run", "Go.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    assert.equal(first.code, 0, first.stdout + first.stderr);
    const id = String(jsonLines(first.stdout)[0]?.["id"]);
    const followed = home.start(["session", "events", id, "--follow", "--json"]);
    let events = "";
    for (const [index, act] of meanwhile.entries()) {
      events = await followed.until(new RegExp(`(?:"kind":"turn_ended"[^]*?){${String(index + 1)}}`));
      // In the very moment in which a turn ends nobody is told apart.
      await sleep(500);
      await act();
      if (index + 1 < steps.length) assert.equal((await home.guild(["session", "send", id, "Go on."])).code, 0);
    }
    followed.child.kill("SIGKILL");
    return { id, events };
  };
  const workspaceOf = (): string => mkdtempSync(join(home.directory, "project-"));
  const until = async (file: string): Promise<void> => {
    while (!existsSync(file)) await sleep(10);
  };

  it("leaves what a person has written himself, and holds an agent to it", async () => {
    verifies("F4");
    const workspace = workspaceOf();
    const at = (name: string): string => join(workspace, name);
    const manifest = `${JSON.stringify({ scripts: { postinstall: "node mine.js" } })}\n`;
    const { id, events } = await turns(
      workspace,
      [
        "echo one > a.txt; echo '{}' > package.json",
        "echo evil > .npmrc; rm -f .envrc; echo evil > .yarnrc; cat a.txt",
        "echo end > b.txt",
      ],
      [
        () => {
          writeFileSync(at(".npmrc"), "mine=1\n");
          writeFileSync(at(".envrc"), "mine\n");
          mkdirSync(at(".vscode"));
          writeFileSync(at(".vscode/settings.json"), "{}\n");
          writeFileSync(at("package.json"), manifest);
        },
        () => {
          assert.equal(readFileSync(at(".npmrc"), "utf8"), "mine=1\n");
          writeFileSync(at("new"), "mine=2\n");
          renameSync(at("new"), at(".npmrc"));
        },
        () => undefined,
      ],
    );
    assert.deepEqual(
      [".npmrc", ".envrc", ".vscode/settings.json", "package.json"].map((name) => readFileSync(at(name), "utf8")),
      ["mine=2\n", "mine\n", "{}\n", manifest],
    );
    assert.equal(existsSync(at(".yarnrc")), false);
    assert.match(events, /\.npmrc was changed by the person/);
    const shown = jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout).filter(({ held }) => held === true);
    assert.deepEqual(shown.map(({ path }) => String(path)).toSorted(), [".npmrc", ".yarnrc"]);
  });

  it("still sets aside what processes of the agent write there while it rests", async () => {
    verifies("F4");
    const workspace = workspaceOf();
    const at = (name: string): string => join(workspace, name);
    const later = (name: string): string =>
      `(while [ ! -e ${name}.go ]; do sleep 0.02; done; echo evil > ${name}; touch ${name}.done) > /dev/null 2>&1 & echo started > ${name}.txt`;
    const { id } = await turns(
      workspace,
      [later(".zshrc"), later(".zlogin")],
      [
        async () => {
          writeFileSync(at(".zshrc.go"), "");
          await until(at(".zshrc.done"));
          assert.ok(existsSync(at(".zshrc")), "the attack does what it is to do");
        },
        async () => {
          assert.equal(existsSync(at(".zshrc")), false);
          writeFileSync(at(".zlogin.go"), "");
          await until(at(".zlogin.done"));
        },
      ],
    );
    assert.equal((await home.guild(["down"])).code, 0);
    assert.equal(existsSync(at(".zlogin")), false, "what is written until the sandbox ends is the agent's");
    const shown = jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout).filter(({ held }) => held === true);
    assert.deepEqual(shown.map(({ path }) => String(path)).toSorted(), [".zlogin", ".zshrc"]);
  });
});

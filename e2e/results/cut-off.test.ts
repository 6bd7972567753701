import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const bash = (command: string) => ({ calls: [{ tool: "bash", args: { command } }] });
const finish = { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] };

const manifest = (scripts: Record<string, string>): string => `${JSON.stringify({ name: "a", scripts }, null, 2)}\n`;
const REPOSITORY =
  "git init -q . && git config core.fsmonitor ./evil && echo evil > .git/hooks/post-checkout && chmod +x .git/hooks/post-checkout";
/** Everything at once, by the shell. */
const PLANT = [
  "echo evil > .npmrc; mkdir .vscode; echo evil > .vscode/tasks.json; mkdir -p sub/deep; echo evil > sub/deep/.yarnrc; ln -s sub .zed",
  "mkdir .guildhall; echo evil > .guildhall/policy.toml",
  `cat > package.json <<'END'\n${manifest({ test: "node --test", postinstall: "evil" })}END`,
  `${REPOSITORY}; mkdir nested; (cd nested; ${REPOSITORY})`,
].join("\n");
const PLANTED = [".npmrc", ".vscode/tasks.json", "sub/deep/.yarnrc", ".zed", ".guildhall/policy.toml"];

describe("an action that a kill of the daemon cut off", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  const workspaceOf = (): string => mkdtempSync(join(home.directory, "project-"));
  const until = async (file: string): Promise<void> => {
    while (!existsSync(file)) await sleep(20);
  };
  const kill = async (): Promise<void> => {
    const up = await home.guild(["up", "--json"]);
    process.kill(Number(jsonLines(up.stdout)[0]?.["pid"]), "SIGKILL");
  };
  /** Begins a session; its id. */
  const begin = async (workspace: string, steps: unknown[]): Promise<{ id: string; ended: Promise<unknown> }> => {
    const script = home.write(`${workspace.split("-").at(-1) ?? ""}.json`, JSON.stringify(steps));
    const run = home.start(["run", "Go.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json"]);
    return { id: /ses_\w+/.exec(await run.until(/ses_\w+/))?.[0] ?? "", ended: run.finished };
  };
  const heldOf = async (id: string): Promise<string[]> =>
    jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout)
      .filter(({ held }) => held === true)
      .map(({ path }) => String(path))
      .toSorted();

  it("leaves nothing that programs of a person obey, once its session goes on", async () => {
    verifies("F4", "A6");
    const workspace = workspaceOf();
    const at = (name: string): string => join(workspace, name);
    writeFileSync(at("package.json"), manifest({ test: "node --test" }));
    writeFileSync(at(".envrc"), "mine\n");
    const { id, ended } = await begin(workspace, [
      bash("echo one > a.txt"),
      bash(`${PLANT}\ntouch acted; sleep 600`),
      bash("ls -A .vscode .guildhall .npmrc; cat .envrc; echo two > b.txt"),
      finish,
    ]);
    await until(at("acted"));
    await kill();
    await ended;
    for (const path of [...PLANTED, ".git/hooks/post-checkout"]) assert.ok(existsSync(at(path)) || path === ".zed", `${path} was planted`);
    assert.match(readFileSync(at(".git/config"), "utf8"), /fsmonitor/);

    const resumed = await home.guild(["session", "resume", id, "--json"]);
    assert.equal(resumed.code, 0, resumed.stdout + resumed.stderr);
    for (const path of PLANTED) assert.equal(existsSync(at(path)), false, path);
    assert.deepEqual(JSON.parse(readFileSync(at("package.json"), "utf8")), JSON.parse(manifest({ test: "node --test" })));
    for (const place of [".git", "nested/.git"]) {
      assert.doesNotMatch(readFileSync(at(`${place}/config`), "utf8"), /fsmonitor/, place);
      assert.equal(existsSync(at(`${place}/hooks/post-checkout`)), false, place);
    }
    assert.deepEqual(
      [".envrc", "a.txt", "b.txt"].map((name) => readFileSync(at(name), "utf8")),
      ["mine\n", "one\n", "two\n"],
    );
    assert.deepEqual(
      await heldOf(id),
      [".guildhall/policy.toml", ".npmrc", ".vscode/tasks.json", ".zed.link", "package.json", "sub/deep/.yarnrc"].toSorted(),
    );
    const { stdout } = await home.guild(["session", "events", id, "--json"]);
    assert.match(stdout, /\.npmrc was set aside[^"]*it may be the person's own/);
    assert.equal((await home.guild(["session", "apply", id, "--paths", ".npmrc"])).code, 0);
    assert.equal(readFileSync(at(".npmrc"), "utf8"), "evil\n", "one command away");
  });

  it("leaves nothing of that either where another session begins in its place; what a person made since stays", async () => {
    verifies("F4", "A6");
    const workspace = workspaceOf();
    const at = (name: string): string => join(workspace, name);
    const cut = await begin(workspace, [bash("echo one > a.txt"), bash("echo evil > .npmrc; touch acted; sleep 600"), finish]);
    await until(at("acted"));
    await kill();
    await cut.ended;
    const other = async (...steps: unknown[]): Promise<string> => {
      const { id, ended } = await begin(workspace, steps);
      const over = (await ended) as { code: number; stdout: string; stderr: string };
      assert.equal(over.code, 0, over.stdout + over.stderr);
      return id;
    };
    const next = await other(bash("echo two > b.txt"), finish);
    assert.equal(existsSync(at(".npmrc")), false);
    assert.deepEqual(await heldOf(next), [".npmrc"]);
    writeFileSync(at(".npmrc"), "mine=1\n");
    writeFileSync(at("package.json"), manifest({ postinstall: "node mine.js" }));
    const last = await other(bash("cat .npmrc"), finish);
    assert.deepEqual(
      [".npmrc", "package.json"].map((name) => readFileSync(at(name), "utf8")),
      ["mine=1\n", manifest({ postinstall: "node mine.js" })],
    );
    assert.deepEqual(await heldOf(last), []);
  });

  it("was none, and a person's own files stay, when the daemon was killed between two turns", async () => {
    verifies("F4", "A6");
    const workspace = workspaceOf();
    const at = (name: string): string => join(workspace, name);
    const { id, ended } = await begin(workspace, [
      bash("echo evil > .yarnrc; echo one > a.txt"),
      finish,
      bash("echo evil >> .npmrc"),
      finish,
    ]);
    await ended;
    writeFileSync(at(".npmrc"), "mine=1\n");
    writeFileSync(at("package.json"), manifest({ postinstall: "node mine.js" }));
    await kill();
    writeFileSync(at(".envrc"), "mine\n");
    const sent = await home.guild(["session", "send", id, "Go on.", "--json"]);
    assert.equal(sent.code, 0, sent.stdout + sent.stderr);
    const followed = home.start(["session", "events", id, "--follow", "--json"]);
    await followed.until(/(?:"kind":"turn_ended"[^]*?){2}/);
    followed.child.kill("SIGKILL");
    assert.deepEqual(
      [".npmrc", ".envrc", "package.json"].map((name) => readFileSync(at(name), "utf8")),
      ["mine=1\n", "mine\n", manifest({ postinstall: "node mine.js" })],
    );
    assert.equal(existsSync(at(".yarnrc")), false);
    assert.deepEqual(await heldOf(id), [".yarnrc"]);
  });

  it("is looked for too where a command was left running when the turn was over", async () => {
    verifies("F4", "A6");
    const workspace = workspaceOf();
    const at = (name: string): string => join(workspace, name);
    const later = "(while [ ! -e go ]; do sleep 0.02; done; echo evil > .npmrc; touch done; sleep 600) > /dev/null 2>&1 & echo one > a.txt";
    const { id, ended } = await begin(workspace, [bash(later), finish, bash("echo two > b.txt"), finish]);
    await ended;
    writeFileSync(at("go"), "");
    await until(at("done"));
    await kill();
    assert.ok(existsSync(at(".npmrc")), "the attack does what it is to do");
    await home.guild(["session", "send", id, "Go on.", "--json"]);
    await until(at("b.txt"));
    assert.equal(existsSync(at(".npmrc")), false);
    assert.deepEqual(await heldOf(id), [".npmrc"]);
  });

  it("and one that makes a file again and again keeps none", async () => {
    verifies("F4");
    const workspace = workspaceOf();
    const { id, ended } = await begin(workspace, [
      bash("(while :; do echo evil > .npmrc; done) > /dev/null 2>&1 & sleep 0.3"),
      bash("echo one > a.txt"),
      finish,
    ]);
    await ended;
    assert.equal((await home.guild(["down"])).code, 0);
    assert.equal(existsSync(join(workspace, ".npmrc")), false);
    assert.deepEqual(await heldOf(id), [".npmrc"]);
  });
});

import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines, repository } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const bash = (command: string) => ({ tool: "bash", args: { command } });
const create = (path: string) => ({ tool: "edit", args: { command: "create", path, file_text: "evil\n" } });
const git = "git -c user.name=A -c user.email=a@localhost -c core.hooksPath=/dev/null";
/** A commit on a branch of its own that has one file more; leaves the work as it is. */
const branch = (name: string, file: string): string =>
  `export GIT_INDEX_FILE=$PWD/.git/${name}; git read-tree HEAD; ` +
  `git update-index --add --cacheinfo 100644,$(echo evil | git hash-object -w --stdin),${file}; ` +
  `git branch ${name} $(${git} commit-tree -p HEAD -m x $(git write-tree)); unset GIT_INDEX_FILE`;

/** Ways to something that was not there: the path, and the calls that make it. */
const NEW: Array<[path: string, ...calls: unknown[]]> = [
  [".npmrc", create(".npmrc")],
  [".envrc", { tool: "apply_patch", args: { patch: "*** Begin Patch\n*** Add File: .envrc\n+evil\n*** End Patch\n" } }],
  [".bunfig.toml", { tool: "python", args: { code: "open('.bun' + 'fig.toml', 'w').write('evil')" } }],
  [".vscode/settings.json", bash("mkdir cfg; echo evil > cfg/settings.json; mv cfg .vscode")],
  ["deep/.yarnrc", bash("mkdir moved; echo evil > moved/.yarnrc; mv moved deep")],
  ["sub/.pypirc", bash("ln -s sub away; echo evil > away/.pypirc")],
  [".zed", bash("mkdir real; echo evil > real/tasks.json; ln -s real .zed")],
  [".gemrc", bash(`${branch("one", ".gemrc")}; git checkout -q one -- .gemrc`)],
  [".condarc", bash(`${branch("two", ".condarc")}; ${git} merge -q two`)],
  [".gitconfig", bash(`echo evil > .gitconfig; ${git} stash -q -u -- .gitconfig; ${git} stash pop -q`)],
  [".husky/pre-commit", bash("mkdir -p t/.husky; echo evil > t/.husky/pre-commit; tar -C t -cf t.tar .husky; rm -r t; tar -xf t.tar")],
  [".bashrc", bash("echo evil > plain; ln plain .bashrc; cp -l plain .profile")],
  [".profile", bash("test ! -e .profile")],
  [".guildhall/policy.toml", bash("mkdir -p .guildhall; echo evil > .guildhall/policy.toml")],
  ["sub/.idea/workspace.xml", { tool: "delegate", args: { command: "start", goal: "Make it.", model: "role:maker", own_copy: true } }],
  // What checkpoints leave out, since git ignores it, it is large, or it cannot be read.
  ["a/.vscode/tasks.json", bash("mkdir -p a/.vscode; echo .vscode > a/.gitignore; echo evil > a/.vscode/tasks.json")],
  ["b/.npmrc", bash("mkdir b; echo .npmrc > b/.gitignore; (echo evil; head -c 300000 /dev/zero | tr '\\0' '#') > b/.npmrc")],
  ["c/d/.npmrc", bash("mkdir -p c/d; echo d > c/.gitignore; echo evil > c/d/.npmrc; chmod 0 c/d")],
  ["d/.envrc", bash("mkdir d; echo evil > d/.envrc; chmod 0 d/.envrc")],
  ["e/.cargo", bash("mkdir -p e/cfg; echo evil > e/cfg/config.toml; ln -s cfg e/.cargo")],
  // One after the other at the same place.
  [".fleet/run.json", bash("echo evil > .fleet"), bash("rm -rf .fleet; mkdir .fleet; echo evil > .fleet/run.json")],
];

const KEPT = {
  "kept/.npmrc": "mine=1\n",
  ".cargo/config.toml": "mine = 1\n",
  ".mvn/hook.js": "mine(1)\n",
};
/** Ways to change what is there; none may do so. */
const CHANGES: unknown[] = [
  { tool: "edit", args: { command: "str_replace", path: "kept/.npmrc", old_str: "mine", new_str: "evil" } },
  {
    tool: "apply_patch",
    args: { patch: "*** Begin Patch\n*** Update File: .cargo/config.toml\n@@\n-mine = 1\n+evil = 1\n*** End Patch\n" },
  },
  { tool: "ast", args: { pattern: "mine($A)", rewrite: "evil($A)", path: ".mvn/hook.js", apply: true } },
  bash("mv kept gone; rm -rf kept .cargo .mvn; ln -sfn /tmp .cargo; echo evil > kept/.npmrc; sed -i s/mine/evil/ .mvn/hook.js"),
  bash(
    `${branch("three", "kept/.npmrc")}; git checkout -q three -- kept/.npmrc; git checkout -qf three; git reset -q --hard three; git stash -q -u`,
  ),
  { tool: "delegate", args: { command: "start", goal: "Change it.", model: "role:changer", own_copy: true } },
];

/** At a link, and at what it leads to. */
const AT_LINK = bash("echo evil > conf/tasks.json; echo evil > conf/more.json; ln -sfn /tmp .zed");

const full = process.env["GUILD_TEST_FULL"] !== undefined;

describe("protected files, by every door", () => {
  let home: Home;
  before(() => {
    home = new Home();
    const role = (name: string, command: string): string => {
      const steps = [{ calls: [bash(command)] }, { calls: [{ tool: "finish", args: { summary: "made" } }] }];
      return `${name} = "scripted:${home.write(`${name}.json`, JSON.stringify(steps))}"`;
    };
    const roles = [
      role("maker", "mkdir -p sub/.idea; echo evil > sub/.idea/workspace.xml"),
      role("changer", "echo evil > kept/.npmrc; echo evil > .cargo/config.toml; true"),
    ];
    home.write("guild/config/settings.toml", `[routes]\n${roles.join("\n")}\n`);
  });
  after(() => home.remove());

  /** The paths that are protected otherwise; so the calls are shown to do what they are to do. */
  const open = (paths: string[]): void => void home.write("guild/config/policy.toml", `[paths]\nunprotected = ${JSON.stringify(paths)}\n`);

  const run = async (calls: unknown[], ...more: string[]): Promise<{ workspace: string; id: string; output: string }> => {
    const workspace = mkdtempSync(join(home.directory, "project-"));
    for (const [name, text] of Object.entries({ "a.txt": "one\n", "sub/b.txt": "two\n", ...KEPT })) {
      mkdirSync(dirname(join(workspace, name)), { recursive: true });
      writeFileSync(join(workspace, name), text);
    }
    mkdirSync(join(workspace, "conf"));
    writeFileSync(join(workspace, "conf/tasks.json"), "mine\n");
    if (calls.includes(AT_LINK)) symlinkSync("conf", join(workspace, ".zed"));
    repository(workspace);
    const steps = [...calls.map((call) => ({ calls: [call] })), { calls: [{ tool: "finish", args: { done: true, summary: "done" } }] }];
    const script = home.write(`script-${workspace.split("-").at(-1) ?? ""}.json`, JSON.stringify(steps));
    const done = await home.guild(["run", "Go.", "--workspace", workspace, "--model", `scripted:${script}`, "--yes", "--json", ...more]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    return { workspace, id: String(jsonLines(done.stdout)[0]?.["id"]), output: done.stdout };
  };
  const read = (workspace: string, name: string): string => readFileSync(join(workspace, name), "utf8");
  const heldOf = async (id: string): Promise<string[]> =>
    jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout)
      .filter(({ held }) => held === true)
      .map(({ path }) => String(path).replace(/\.link$/, ""));

  const present = (workspace: string): string[] =>
    NEW.map(([path]) => path).filter((path) => lstatSync(join(workspace, path), { throwIfNoEntry: false }) !== undefined);

  it("are set aside when they are new", async () => {
    verifies("F4");
    const { workspace, id, output } = await run([...NEW.flatMap(([, ...calls]) => calls), bash("mkdir f; mkfifo f/.npmrc")]);
    assert.deepEqual(present(workspace), [], output);
    assert.equal(existsSync(join(workspace, "f/.npmrc")), false, "a pipe is no file, and serves as one");
    const held = await heldOf(id);
    assert.deepEqual(
      NEW.map(([path]) => path).filter((path) => !held.includes(path)),
      [],
      output,
    );
    if (!full) return;
    const paths = NEW.map(([path]) => path);
    open(paths);
    const without = await run(NEW.flatMap(([, ...calls]) => calls));
    open([]);
    assert.deepEqual(present(without.workspace), paths, without.output);
  });

  it("are as they were when they were there", async () => {
    verifies("F4");
    const { workspace, output } = await run([...CHANGES, AT_LINK]);
    for (const [name, text] of Object.entries(KEPT)) {
      assert.ok(existsSync(join(workspace, name)), `${name}: ${output}`);
      assert.equal(read(workspace, name), text, name);
    }
    assert.deepEqual(
      [readlinkSync(join(workspace, ".zed")), read(workspace, "conf/tasks.json"), existsSync(join(workspace, "conf/more.json"))],
      ["conf", "mine\n", false],
      "what a link leads to, and where it leads",
    );
    open(Object.keys(KEPT));
    // The first three have one file each.
    for (const calls of full ? CHANGES.map((call) => [call]) : [CHANGES.slice(0, 3)]) {
      const without = await run(calls);
      const same = Object.entries(KEPT).filter(
        ([name, text]) => existsSync(join(without.workspace, name)) && read(without.workspace, name) === text,
      );
      assert.ok(same.length <= (calls.length === 1 ? 2 : 0), `unchanged by ${JSON.stringify(calls)}: ${without.output}`);
    }
    open([]);
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Home, jsonLines, program } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("what a session has changed", () => {
  let home: Home;
  let number = 0;
  before(() => void (home = new Home()));
  after(() => home.remove());

  const workspaceOf = (files: Record<string, string>): string => {
    const workspace = mkdtempSync(join(home.directory, "project-"));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(workspace, name, ".."), { recursive: true });
      writeFileSync(join(workspace, name), text);
    }
    return workspace;
  };
  const run = async (workspace: string, commands: string[], ...more: string[]): Promise<{ id: string; output: string }> => {
    const steps = commands.map((command) => ({ calls: [{ tool: "bash", args: { command } }] }));
    const finish = { calls: [{ tool: "finish", args: { done: true, summary: "changed" } }] };
    const script = home.write(`script-${(number += 1)}.json`, JSON.stringify({ description: "Changes.", steps: [...steps, finish] }));
    const done = await home.guild([
      "run",
      "Change.",
      "--workspace",
      workspace,
      "--model",
      `scripted:${script}`,
      "--yes",
      "--json",
      ...more,
    ]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    return { id: String(jsonLines(done.stdout)[0]?.["id"]), output: done.stdout };
  };
  const read = (workspace: string, name: string): string => readFileSync(join(workspace, name), "utf8");

  it("stays in a copy with --review, until a person applies what he wants of it", async () => {
    verifies("F4");
    const workspace = workspaceOf({
      "a.txt": "one\n",
      "b.txt": "old\n",
      "gone.txt": "gone\n",
      "run.sh": "#!/bin/sh\n",
      "theirs.txt": "base\n",
    });
    chmodSync(join(workspace, "b.txt"), 0o640);
    const { id } = await run(
      workspace,
      [
        "pwd; echo two >> a.txt; echo new > b.txt; rm gone.txt; chmod +x run.sh; mkdir -p deep/er; echo made > deep/er/new.txt; ln -s a.txt link; echo agent > theirs.txt; echo x > .npmrc",
      ],
      "--review",
    );
    assert.deepEqual(readdirSync(workspace).toSorted(), ["a.txt", "b.txt", "gone.txt", "run.sh", "theirs.txt"], "nothing has changed here");
    assert.equal(read(workspace, "a.txt"), "one\n");

    const shown = await home.guild(["session", "diff", id]);
    assert.match(shown.stdout, /^diff --git a\/a\.txt b\/a\.txt$/m);
    assert.match(shown.stdout, /^\+two$/m);
    assert.match(shown.stdout, /^new file mode 120000$/m);
    assert.match(shown.stdout, /^old mode 100644\nnew mode 100755$/m);
    assert.match(shown.stderr, /not in the workspace yet: guild session apply/);
    const listed = jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout).map(({ path, change }) => [path, change]);
    assert.deepEqual(listed, [
      [".npmrc", "added"],
      ["a.txt", "modified"],
      ["b.txt", "modified"],
      ["deep/er/new.txt", "added"],
      ["gone.txt", "deleted"],
      ["link", "added"],
      ["run.sh", "modified"],
      ["theirs.txt", "modified"],
    ]);

    const some = await home.guild(["session", "apply", id, "--paths", "a.txt", "deep"]);
    assert.equal(some.stdout, "applied a.txt\napplied deep/er/new.txt\n", some.stderr);
    assert.equal(read(workspace, "a.txt"), "one\ntwo\n");
    assert.equal(read(workspace, "b.txt"), "old\n");

    // What a person does meanwhile is kept, and the session's version is not lost.
    writeFileSync(join(workspace, "theirs.txt"), "mine\n");
    writeFileSync(join(workspace, "a.txt"), "one\ntwo\nthree\n");
    const rest = await home.guild(["session", "apply", id, "--json"]);
    assert.equal(rest.code, 1, rest.stderr);
    const conflicts = jsonLines(rest.stdout).filter(({ type }) => type === "conflict");
    assert.deepEqual(
      conflicts.map(({ path }) => path),
      ["theirs.txt"],
    );
    assert.equal(readFileSync(String(conflicts[0]?.["kept"]), "utf8"), "agent\n");
    assert.match(
      (await home.guild(["session", "diff", id])).stderr,
      /the session's theirs\.txt, which lost against yours, is .*theirs\.txt/,
    );
    assert.equal(read(workspace, "theirs.txt"), "mine\n");
    assert.equal(read(workspace, "a.txt"), "one\ntwo\nthree\n", "it was applied before, and is the person's again");
    assert.deepEqual([existsSync(join(workspace, "gone.txt")), read(workspace, "link")], [false, "one\ntwo\nthree\n"]);
    assert.equal(statSync(join(workspace, "run.sh")).mode & 0o777, 0o755);
    assert.equal(statSync(join(workspace, "b.txt")).mode & 0o777, 0o640);
    const owner = statSync(workspace).uid;
    for (const name of ["deep", "deep/er/new.txt", "b.txt", ".npmrc"]) assert.equal(statSync(join(workspace, name)).uid, owner, name);
    assert.equal((await home.guild(["session", "apply", id, "--paths", "a.txt"])).code, 2, "nothing is left to apply there");
  });

  it("follows no link that stands in the workspace when it is applied", async () => {
    verifies("F4");
    const workspace = workspaceOf({ "d/file.txt": "base\n" });
    const { id } = await run(workspace, ["echo agent > d/file.txt"], "--review");
    const outside = workspaceOf({ "file.txt": "base\n" });
    execFileSync("rm", ["-r", join(workspace, "d")]);
    symlinkSync(outside, join(workspace, "d"));
    const applied = await home.guild(["session", "apply", id]);
    assert.notEqual(applied.code, 0);
    assert.equal(read(outside, "file.txt"), "base\n");
  });

  it("is asked for by policy, too", async () => {
    home.write("guild/config/policy.toml", '[results]\napply = "review"\n');
    const workspace = workspaceOf({ "a.txt": "one\n" });
    const { id } = await run(workspace, ["echo two > a.txt"]);
    assert.equal(read(workspace, "a.txt"), "one\n");
    assert.equal((await home.guild(["session", "apply", id])).stdout, "applied a.txt\n");
    assert.equal(read(workspace, "a.txt"), "two\n");
    home.write("guild/config/policy.toml", "");
  });

  it("changes nothing that programs of the person would run or obey, by whatever means", async () => {
    verifies("F4");
    const workspace = workspaceOf({ ".npmrc": "a=1\n", ".vscode/tasks.json": "{}\n", "sub/.envrc": "true\n", "a.txt": "one\n" });
    const { id, output } = await run(workspace, [
      "echo evil > .npmrc; echo evil > .vscode/tasks.json; echo evil > .vscode/settings.json; mv .vscode gone; echo evil > sub/.envrc; cat .npmrc",
      `python3 - <<'E'\nimport base64,os\nos.makedirs('.idea',exist_ok=True)\nopen(base64.b64decode('LmlkZWEvd29ya3NwYWNlLnhtbA==').decode(),'w').write('evil')\nopen('.yarn'+'rc','w').write('evil')\nE\necho changed > a.txt; mkdir inner; cd inner; git init -q; echo x > file`,
      "echo more",
    ]);
    assert.deepEqual(
      [".npmrc", ".vscode/tasks.json", "sub/.envrc"].map((name) => read(workspace, name)),
      ["a=1\n", "{}\n", "true\n"],
    );
    assert.deepEqual(
      [".idea/workspace.xml", ".yarnrc", ".vscode/settings.json", "gone"].filter((name) => existsSync(join(workspace, name))),
      [],
    );
    assert.equal(read(workspace, "a.txt"), "changed\n");
    assert.match(output, /\.yarnrc was set aside: programs of the person's own would run or obey it/);
    assert.match(output, /inner has become a git repository of its own/);
    assert.match(output, /"type":"held","path":"\.yarnrc"/);
    const diff = await home.guild(["session", "diff", id]);
    assert.match(diff.stderr, /set aside, because programs of yours might run what they say: \.idea\/workspace\.xml, \.yarnrc/);
    const applied = await home.guild(["session", "apply", id, "--paths", ".yarnrc"]);
    assert.equal(applied.stdout, "applied .yarnrc\n", applied.stderr);
    assert.equal(read(workspace, ".yarnrc"), "evil");
  });

  it("leaves no file that programs of the person obey, of whatever kind", async () => {
    verifies("F4");
    const names = [
      ".npmrc",
      ".yarnrc",
      ".yarnrc.yml",
      ".pnpmfile.cjs",
      "bunfig.toml",
      "pip.conf",
      "sub/pip.conf",
      ".pypirc",
      ".cargo/config.toml",
      ".yarn/releases/yarn.cjs",
      ".mvn/extensions.xml",
      ".bundle/config",
      ".pre-commit-config.yaml",
      "lefthook.yml",
      ".husky/pre-commit",
      ".vscode/tasks.json",
      "a.code-workspace",
      ".idea/workspace.xml",
      ".exrc",
      ".nvim.lua",
      ".dir-locals.el",
      ".zed/tasks.json",
      ".bashrc",
      ".profile",
      ".zshrc",
      "sub/.envrc",
      ".config/fish/config.fish",
      ".gitconfig",
      ".config/git/config",
      ".ssh/config",
      ".guildhall/policy.toml",
      ".guildhall/hooks.json",
      ".mcp.json",
      ".claude/settings.json",
    ];
    const deep = "1/2/3/4/5/6/7/8/9/.npmrc";
    const workspace = workspaceOf({ "a.txt": "one\n", [deep]: "a=1\n" });
    const script = names.map((name) => `mkdir -p "$(dirname ${name})"; echo evil > ${name}`).join("; ");
    const { id, output } = await run(workspace, [script, `echo evil > ${deep}`, "ls -A"]);
    assert.equal(read(workspace, deep), "a=1\n", "what lies too deep to be read-only is put back");
    assert.deepEqual(
      names.filter((name) => existsSync(join(workspace, name))),
      [],
    );
    const shown = jsonLines((await home.guild(["session", "diff", id, "--json"])).stdout);
    const held = shown.filter(({ held }) => held === true).map(({ path }) => String(path));
    assert.deepEqual(held.toSorted(), [...names, deep].toSorted(), output);
  });

  it("lets an agent edit package.json, and sets aside what a package manager would run unasked", async () => {
    verifies("F4");
    const manifest = (more: object, scripts: object): string =>
      `${JSON.stringify({ name: "a", ...more, scripts: { test: "node --test", prepare: "husky", ...scripts } }, null, 2)}\n`;
    const workspace = workspaceOf({ "package.json": manifest({}, {}) });
    const put = (text: string, path = "package.json"): string => `mkdir -p $(dirname ${path}); cat > ${path} <<'E'\n${text}E`;
    const { id, output } = await run(workspace, [
      put(manifest({ dependencies: { b: "1" } }, { build: "tsc" })),
      put(manifest({ dependencies: { b: "1" } }, { build: "tsc", postinstall: "node evil.js", prepare: "evil" })),
      put(manifest({ dependencies: { b: "2" } }, { build: "tsc" })),
      put('{"scripts":{"install":"evil"}}\n', "sub/package.json"),
      "echo end",
    ]);
    assert.equal(read(workspace, "package.json"), manifest({ dependencies: { b: "2" } }, { build: "tsc" }));
    assert.doesNotMatch(read(workspace, "sub/package.json"), /evil/);
    assert.match(output, /In package\.json, scripts\.prepare, scripts\.postinstall were set aside/);
    const diff = await home.guild(["session", "diff", id]);
    assert.match(diff.stdout, /\+ {4}"postinstall": "node evil\.js"/);
    const applied = await home.guild(["session", "apply", id, "--paths", "package.json"]);
    assert.equal(applied.stdout, "applied package.json\n", applied.stderr);
    const both = { build: "tsc", prepare: "evil", postinstall: "node evil.js" };
    assert.deepEqual(JSON.parse(read(workspace, "package.json")), JSON.parse(manifest({ dependencies: { b: "2" } }, both)));
    // The script has said all: the turn ends at once, behind a checkpoint.
    assert.match((await home.guild(["session", "resume", id, "--json"])).stdout, /"turn_ended"/);
    assert.match(read(workspace, "package.json"), /postinstall/, "what a person has put in place stays");
  });

  it("shows at the end of a run what was set aside, and puts it in place on the person's word alone", async () => {
    verifies("F4");
    const steps = [
      { calls: [{ tool: "edit", args: { command: "create", path: ".npmrc", file_text: "registry=https://evil.example\n" } }] },
      { calls: [{ tool: "finish", args: { done: true, summary: "made it" } }] },
    ];
    const script = home.write("npmrc.json", JSON.stringify({ description: "Makes .npmrc.", steps }));
    const run = (workspace: string, answer: string): string => {
      const command = [process.execPath, program, "run", "x", "--workspace", workspace, "--model", `scripted:${script}`].join(" ");
      return execFileSync("script", ["-qefc", command, "/dev/null"], {
        env: { ...home.env, TERM: "xterm" },
        input: `${answer}\n`,
        encoding: "utf8",
      });
    };
    for (const [answer, there] of [
      ["y", true],
      ["", false],
    ] as const) {
      const workspace = workspaceOf({ "a.txt": "one\n" });
      const shown = run(workspace, answer);
      assert.match(shown, /set aside, because programs of yours might run what they say: \.npmrc/);
      assert.match(shown, /\+registry=https:\/\/evil\.example/);
      assert.equal(existsSync(join(workspace, ".npmrc")), there, shown);
    }
  });
});

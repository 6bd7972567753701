import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chown, lstat, mkdir, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import type { Sandbox } from "@guildhall/core";
import { failsWith, runScript, type SandboxFixture } from "@guildhall/core/testing";

import { providerFixture } from "../testing/provider-fixture.ts";
import { namedFiles } from "./git-config.ts";
import { BubblewrapProvider } from "./provider.ts";

const run = promisify(execFile);

describe("a repository in a sandbox", () => {
  let fixture: SandboxFixture;
  const made: Sandbox[] = [];
  before(async () => {
    fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir }));
  });
  after(async () => {
    await Promise.all(made.map((sandbox) => sandbox.dispose()));
    await fixture.close();
  });

  const git = async (directory: string, ...args: string[]): Promise<string> => {
    const env = { PATH: process.env["PATH"], GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
    const identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
    return (await run("git", ["-C", directory, ...identity, ...args], { env })).stdout;
  };
  const repository = async (): Promise<string> => {
    const workspace = await realpath(await fixture.newWorkspace());
    await git(workspace, "init", "-q", "-b", "main");
    await writeFile(join(workspace, "file"), "one\n");
    await git(workspace, "add", ".");
    await git(workspace, "commit", "-qm", "first");
    return workspace;
  };
  let count = 0;
  const open = async (workspace: string): Promise<Sandbox> => {
    const sandbox = await fixture.provider.create({ id: `guard-${process.pid}-${++count}`, workspace });
    made.push(sandbox);
    return sandbox;
  };

  it("ends when the host replaces what it guards, since the kernel drops the mount over it", async () => {
    const workspace = await repository();
    const sandbox = await open(workspace);
    assert.match((await runScript(sandbox, "echo x >> .git/config")).stderr, /Read-only/);
    await git(workspace, "config", "remote.origin.url", "https://example.com/");
    await sandbox.gone;
    const next = await open(workspace);
    assert.match((await runScript(next, "echo x >> .git/config")).stderr, /Read-only/);
    assert.match(await readFile(join(workspace, ".git/config"), "utf8"), /example\.com/);
  });

  it("makes a directory read-only but for what is to be taken out of it", async () => {
    const workspace = await repository();
    await mkdir(join(workspace, "d/e"), { recursive: true });
    for (const name of ["d/one", "d/e/two", "d/e/out"]) await writeFile(join(workspace, name), "x");
    await symlink("one", join(workspace, "d/link"));
    const id = `guard-${process.pid}-but`;
    const sandbox = await fixture.provider.create({ id, workspace, readOnly: ["d"], writable: ["d/e/out"] });
    made.push(sandbox);
    const done = await runScript(sandbox, "rm d/e/out; echo y > d/one; echo y > d/e/two; mv d/e away; rm -rf d; ls d d/e");
    assert.equal(done.stdout, "d:\ne\none\n\nd/e:\ntwo\n", done.stderr);
    assert.deepEqual(await Promise.all(["d/one", "d/e/two"].map((name) => readFile(join(workspace, name), "utf8"))), ["x", "x"]);
  });

  it("goes on when the host's git works without replacing what it guards", async () => {
    const workspace = await repository();
    const sandbox = await open(workspace);
    await writeFile(join(workspace, "file"), "two\n");
    await git(workspace, "commit", "-qam", "second");
    await git(workspace, "branch", "other");
    assert.equal((await runScript(sandbox, "git log --oneline | wc -l")).stdout.trim(), "2");
  });

  it("opens and closes any number of sandboxes of one workspace at once", async () => {
    const workspace = await repository();
    const loop = async (): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const sandbox = await open(workspace);
        assert.match(
          (await runScript(sandbox, "echo x > .git/commondir; echo y > .git/config")).stderr,
          /commondir: Read-only[^]*config: Read-only/,
        );
        await sandbox.dispose();
      }
    };
    await Promise.all([loop(), loop(), loop()]);
    assert.ok(!(await readdir(join(workspace, ".git"))).includes("commondir"));
  });

  it("is worked with as usual, inside and outside, and nobody finds its owner dubious", async () => {
    const workspace = await repository();
    const sandbox = await open(workspace);
    const script =
      "git status --short && echo two >> file && git commit -qam second && git switch -qc topic && git stash list && git gc -q && git log --format=%s";
    const done = await runScript(sandbox, script);
    assert.equal(done.stdout, "second\nfirst\n", done.stderr);
    assert.equal(done.stderr, "");
    assert.equal(await git(workspace, "log", "--format=%s"), "second\nfirst\n");
    assert.equal(await git(workspace, "status", "--short"), "");
    await git(workspace, "fsck", "--strict");
  });

  it("keeps what its host's git obeys", async () => {
    const workspace = await repository();
    await rm(join(workspace, ".git/hooks"), { recursive: true });
    await git(workspace, "config", "extensions.worktreeConfig", "true");
    const before = await readFile(join(workspace, ".git/config"), "utf8");
    const sandbox = await open(workspace);
    const evil = '[core]\n\tfsmonitor = "touch /tmp/pwned"\n';
    const attempts = [
      `printf '%s' '${evil}' > .git/config`,
      `printf '%s' '${evil}' >> .git/config`,
      "git config core.fsmonitor evil",
      `printf '%s' '${evil}' > x; mv x .git/config`,
      "rm -f .git/config",
      "mv .git/config .git/other",
      "ln -sf /tmp/x .git/config",
      "mv .git .git2",
      "rm -rf .git/hooks",
      "echo evil > .git/hooks/pre-commit",
      "mv .git/hooks .git/h2",
      "mkdir evil; cp .git/config evil/; echo ../evil > .git/commondir",
      `printf '%s' '${evil}' > .git/config.worktree`,
      "mkdir -p .git/hooks/x",
      "chmod 777 .git/config",
    ];
    for (const attempt of attempts) {
      const done = await runScript(sandbox, attempt);
      assert.notEqual(done.exit.code, 0, attempt);
    }
    assert.equal(await readFile(join(workspace, ".git/config"), "utf8"), before);
    assert.deepEqual(await readdir(join(workspace, ".git/hooks")), []);
    assert.equal(await readFile(join(workspace, ".git/config.worktree"), "utf8"), "");
    const owner = await stat(workspace);
    assert.equal((await stat(join(workspace, ".git/hooks"))).uid, owner.uid);
    await sandbox.dispose();
    await assert.rejects(lstat(join(workspace, ".git/commondir")), /ENOENT/);
  });

  it("keeps hooks and included files where its configuration says they are", async () => {
    const workspace = await repository();
    await mkdir(join(workspace, ".husky/_"), { recursive: true });
    await writeFile(join(workspace, ".husky/_/pre-commit"), "original");
    await writeFile(join(workspace, "shared.gitconfig"), "[alias]\n\tx = y\n");
    await git(workspace, "config", "core.hooksPath", ".husky/_");
    await git(workspace, "config", "include.path", "../shared.gitconfig");
    const sandbox = await open(workspace);
    await runScript(
      sandbox,
      "echo evil > .husky/_/pre-commit; mv .husky h; echo evil > shared.gitconfig; rm -f shared.gitconfig; echo free > .husky/own; true",
    );
    assert.equal(await readFile(join(workspace, ".husky/_/pre-commit"), "utf8"), "original");
    assert.match(await readFile(join(workspace, "shared.gitconfig"), "utf8"), /alias/);
    assert.equal(await readFile(join(workspace, ".husky/own"), "utf8"), "free\n");
  });

  it("keeps its submodules' configuration too", async () => {
    const library = await repository();
    const workspace = await repository();
    await git(workspace, "submodule", "--quiet", "add", library, "deps/library");
    await git(workspace, "commit", "-qm", "submodule");
    const config = join(workspace, ".git/modules/deps/library/config");
    const before = await readFile(config, "utf8");
    const sandbox = await open(workspace);
    const script =
      "echo evil > .git/modules/deps/library/config; mv .git/modules .git/m; mv .git/modules/deps .git/modules/d; echo x > .git/modules/deps/library/hooks/post-checkout; cd deps/library && echo x > new && git add new && git commit -qm inside; git log --format=%s";
    const done = await runScript(sandbox, script);
    assert.match(done.stdout, /inside\nfirst/, done.stderr);
    assert.equal(await readFile(config, "utf8"), before);
    await assert.rejects(lstat(join(workspace, ".git/modules/deps/library/hooks/post-checkout")));
  });

  it("is reached from a linked worktree, with its own configuration kept", async () => {
    const main = await repository();
    const workspace = join(dirname(main), `linked-${count}`);
    await git(main, "worktree", "add", "-q", workspace, "-b", "topic");
    const other = join(dirname(main), `other-${count}`);
    await git(main, "worktree", "add", "-q", other, "-b", "other");
    const sandbox = await open(workspace);
    const script = `echo two >> file && git commit -qam 'in worktree' && git log --format=%s -1; ls -A ${main}; echo evil > ${main}/.git/config; echo evil > ${main}/file; rm -f .git; echo evil > ${main}/.git/worktrees/${other.split("/").at(-1)}/commondir`;
    const done = await runScript(sandbox, script);
    assert.equal(done.stdout, "in worktree\n.git\n", done.stderr);
    assert.equal(await git(workspace, "log", "--format=%s", "-1"), "in worktree\n");
    assert.equal(await git(main, "status", "--short"), "");
    assert.equal(await git(other, "status", "--short"), "");
  });

  it("opens nothing else because a file called .git says so", async () => {
    const secret = await repository();
    const workspace = await realpath(await fixture.newWorkspace());
    await writeFile(join(workspace, ".git"), `gitdir: ${secret}/.git\n`);
    const sandbox = await open(workspace);
    const done = await runScript(sandbox, `ls ${secret}`);
    assert.match(done.stderr, /No such file/);
    await mkdir(join(secret, ".git/worktrees/x"), { recursive: true });
    await writeFile(join(secret, ".git/worktrees/x/gitdir"), "/elsewhere/.git\n");
    const second = await realpath(await fixture.newWorkspace());
    await writeFile(join(second, ".git"), `gitdir: ${secret}/.git/worktrees/x\n`);
    assert.match((await runScript(await open(second), `ls ${secret}`)).stderr, /No such file/);
  });

  it("is refused when it cannot be protected", async () => {
    const workspace = await repository();
    await rm(join(workspace, ".git/hooks"), { recursive: true });
    await symlink("../my-hooks", join(workspace, ".git/hooks"));
    await assert.rejects(open(workspace), failsWith("failed_precondition"));
    const linked = await realpath(await fixture.newWorkspace());
    await symlink(join(workspace, ".git"), join(linked, ".git"));
    await assert.rejects(open(linked), failsWith("failed_precondition"));
  });

  it("belongs to its owner whoever that is", { skip: process.geteuid?.() !== 0 && "only root can give files away" }, async () => {
    for (const uid of [0, 12345]) {
      const workspace = await repository();
      await run("chown", ["-R", `${uid}:${uid}`, workspace]);
      await rm(join(workspace, ".git/hooks"), { recursive: true });
      const sandbox = await open(workspace);
      const done = await runScript(
        sandbox,
        "git status --short && echo x > new && git add new && git commit -qm new && stat -c %U:%G new file .",
      );
      assert.equal(done.stdout, "agent:agent\n".repeat(3), done.stderr);
      for (const path of ["new", ".git/index", ".git/hooks", ".git/commondir"]) {
        const found = await stat(join(workspace, path));
        assert.deepEqual([found.uid, found.gid], [uid, uid], path);
      }
      await chown(join(workspace, "file"), 777, 777);
      const strange = await runScript(sandbox, "cat file && echo x >> file");
      assert.equal(strange.stdout, "one\n");
      assert.notEqual(strange.exit.code, 0);
    }
  });
});

describe("a git configuration", () => {
  it("tells which files it names", () => {
    const text =
      '[core]\n\thooksPath = "a b/hooks" ; note\n[include] path = one\n[includeIf "gitdir:~/x/"]\n\tpath = ../two\n[Extensions]\n\tworktreeConfig\n[other]\n\tpath = no\n';
    assert.deepEqual(namedFiles(text), { hooks: ["a b/hooks"], includes: ["one", "../two"], worktreeConfig: true });
    assert.deepEqual(namedFiles("[core]\n\thooksPath = a\\\nb\n"), { hooks: ["ab"], includes: [], worktreeConfig: false });
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { describeGitHead, gitDirectory, readGitHead, readHeadMoves } from "./git-head.ts";

function repository(test: TestContext) {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "guild-head-")));
  test.after(() => rmSync(base, { recursive: true }));
  const root = join(base, "main");
  const who = ["-c", "user.name=a", "-c", "user.email=a@example.test", "-c", "protocol.file.allow=always"];
  const git = (directory: string, ...args: string[]): string =>
    execFileSync("git", [...who, ...args], { cwd: directory, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  mkdirSync(root);
  git(root, "init", "--quiet", "--initial-branch=main");
  return { base, root, git };
}

describe("where a checkout stands", () => {
  it("is read from git's own files: before the first commit, on a branch, packed, detached, in the middle of something", (test) => {
    const { root, git } = repository(test);
    assert.deepEqual(readGitHead(root), { branch: "main", commit: undefined, during: undefined });
    git(root, "commit", "--quiet", "--allow-empty", "-m", "one");
    const commit = git(root, "rev-parse", "HEAD");
    assert.deepEqual(readGitHead(root), { branch: "main", commit, during: undefined });
    git(root, "pack-refs", "--all");
    assert.equal(readGitHead(root)?.commit, commit);
    git(root, "switch", "--quiet", "--create", "feature/deep");
    assert.equal(readGitHead(root)?.branch, "feature/deep");
    git(root, "switch", "--quiet", "--detach");
    writeFileSync(join(root, ".git/MERGE_HEAD"), commit);
    const detached = readGitHead(root);
    assert.deepEqual(detached, { branch: undefined, commit, during: "merge" });
    assert.ok(detached !== undefined && describeGitHead(detached) === `detached at ${commit.slice(0, 12)}, in the middle of a merge`);
  });

  it("is that of a linked worktree and of a submodule, by the directory that names them in turn", (test) => {
    const { base, root, git } = repository(test);
    git(root, "commit", "--quiet", "--allow-empty", "-m", "one");
    git(root, "worktree", "add", "--quiet", "-b", "beside", join(base, "linked"));
    assert.deepEqual(readGitHead(join(base, "linked")), { branch: "beside", commit: git(root, "rev-parse", "HEAD"), during: undefined });
    assert.equal(gitDirectory(join(base, "linked")), join(root, ".git/worktrees/linked"));
    git(root, "submodule", "--quiet", "add", root, "sub");
    assert.equal(readGitHead(join(root, "sub"))?.commit, git(join(root, "sub"), "rev-parse", "HEAD"));
  });

  it("has a past by git's own list of it, as far as that goes back", (test) => {
    const { root, git } = repository(test);
    const commit = (about: string): string => {
      git(root, "commit", "--quiet", "--allow-empty", "-m", about);
      return git(root, "rev-parse", "HEAD");
    };
    const [one, two, three] = [commit("one"), commit("two"), commit("three")];
    assert.deepEqual(readHeadMoves(root, one), [
      { commit: two, why: "commit: two" },
      { commit: three, why: "commit: three" },
    ]);
    assert.equal(readHeadMoves(root, undefined)?.length, 3);
    git(root, "reset", "--quiet", "--hard", one);
    assert.deepEqual(readHeadMoves(root, three), [{ commit: one, why: `reset: moving to ${one}` }]);
    assert.equal(readHeadMoves(root, "0".repeat(40)), undefined);
    rmSync(join(root, ".git/logs"), { recursive: true });
    assert.equal(readHeadMoves(root, one), undefined);
  });

  it("is not looked for where a planted file or link leads", (test) => {
    const { base, root, git } = repository(test);
    git(root, "commit", "--quiet", "--allow-empty", "-m", "one");
    const planted = join(base, "planted");
    mkdirSync(planted);
    writeFileSync(join(planted, ".git"), `gitdir: ${join(root, ".git")}\n`);
    assert.equal(readGitHead(planted), undefined);
    const linked = join(base, "by-link");
    mkdirSync(linked);
    symlinkSync(join(root, ".git"), join(linked, ".git"));
    assert.equal(readGitHead(linked), undefined);
    assert.equal(readGitHead(base), undefined);
    writeFileSync(join(root, ".git/HEAD"), "ref: refs/heads/../../../x\n");
    assert.equal(readGitHead(root), undefined);
  });
});

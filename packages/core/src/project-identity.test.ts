import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { normalisedAddress, projectIdentity } from "./project-identity.ts";

describe("which project a directory is", () => {
  let root = "";
  const at = (name: string): string => join(root, name);
  const git = (cwd: string, ...args: string[]): void =>
    void execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], { cwd, stdio: "pipe" });
  const nameOf = async (name: string): Promise<string> => (await projectIdentity(at(name))).name;
  const repository = async (name: string, text: string): Promise<void> => {
    await mkdir(at(name));
    git(at(name), "init", "-q");
    await writeFile(join(at(name), "a"), text);
    git(at(name), "add", ".");
    git(at(name), "commit", "-qm", text);
  };
  before(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), "guild-project-")));
    await repository("first", "one");
    await repository("other", "two");
  });
  after(() => rm(root, { recursive: true }));

  it("is the same for clones of one repository and clones of those, and another for another", async () => {
    git(root, "clone", "-q", at("first"), at("clone"));
    git(root, "clone", "-q", at("clone"), at("clone-of-clone"));
    const first = await nameOf("first");
    assert.equal(await nameOf("clone"), first);
    assert.equal(await nameOf("clone-of-clone"), first);
    assert.notEqual(await nameOf("other"), first);
    assert.notEqual((await projectIdentity(at("clone"))).byPath, (await projectIdentity(at("first"))).byPath);
  });

  it("is the same after a move, in a worktree, and apart for a folder within", async () => {
    const first = await nameOf("first");
    git(at("first"), "worktree", "add", "-q", at("tree"));
    assert.equal(await nameOf("tree"), first);
    await mkdir(join(at("first"), "packages/web"), { recursive: true });
    const web = await nameOf("first/packages/web");
    assert.match(web, /^web-/);
    await rename(at("first"), at("moved"));
    assert.equal(await nameOf("moved"), first);
    assert.equal(await nameOf("moved/packages/web"), web);
    await rename(at("moved"), at("first"));
  });

  it("goes by the address that it was cloned from, however that is written, and before all by the name that its owner gave", async () => {
    await repository("third", "three");
    git(at("third"), "remote", "add", "origin", "git@Example.org:owner/name.git");
    git(at("other"), "remote", "add", "origin", "https://user:word@example.org/owner/name/");
    assert.equal(await nameOf("third"), await nameOf("other"));
    assert.match(await nameOf("third"), /^name-[0-9a-f]{12}$/);
    git(at("third"), "config", "guildhall.project", "Our thing");
    assert.match(await nameOf("third"), /^Our-thing-/);
    assert.equal(normalisedAddress("ssh://git@example.org:2222/x.git"), "example.org:2222/x");
    assert.equal(normalisedAddress("https://example.org:443/a/b"), "example.org/a/b");
  });

  it("is the directory's own where there is no repository, no commit, or a file that names a repository which knows nothing of it", async () => {
    for (const [name, prepare] of [
      ["plain", () => Promise.resolve()],
      ["empty", () => Promise.resolve(git(at("empty"), "init", "-q"))],
      ["liar", () => writeFile(join(at("liar"), ".git"), `gitdir: ${at("first")}/.git\n`)],
    ] as const) {
      await mkdir(at(name));
      await prepare();
      const { name: own, byPath } = await projectIdentity(at(name));
      assert.equal(own, byPath, name);
    }
    const gone = await projectIdentity(at("never"));
    assert.equal(gone.name, gone.byPath);
  });
});

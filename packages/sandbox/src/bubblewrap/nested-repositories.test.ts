import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { disarmRepositories, knownConfigurations, mendRepositories } from "./nested-repositories.ts";

const run = promisify(execFile);
const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe("repositories within a workspace", () => {
  let workspace: string;
  before(async () => {
    workspace = await mkdtemp(join(tmpdir(), "guildhall-nested-"));
  });
  after(() => rm(workspace, { recursive: true, force: true }));
  const make = async (name: string, ...config: string[][]): Promise<string> => {
    const directory = join(workspace, name);
    await run("git", ["init", "-q", directory]);
    for (const pair of config) await run("git", ["-C", directory, "config", ...pair]);
    return directory;
  };
  const disarm = (since = 0, but: string[] = []): Promise<string[]> => disarmRepositories(workspace, { since, but: new Set(but), owner });

  it("stay as they are when their configuration only says something", async () => {
    const directory = await make(
      "plain",
      ["remote.origin.url", "https://example.com/x.git"],
      ["branch.main.remote", "origin"],
      ["user.name", "A B"],
    );
    const before = await readFile(join(directory, ".git/config"), "utf8");
    assert.deepEqual(await disarm(), []);
    assert.equal(await readFile(join(directory, ".git/config"), "utf8"), before);
  });

  it("lose what git would run, keep the rest, and what they lose is beside it", async () => {
    const directory = await make(
      "armed",
      ["core.fsmonitor", "evil"],
      ["alias.st", "!evil"],
      ["remote.origin.url", "https://example.com/x.git"],
      ["remote.other.url", "ext::sh -c evil"],
      ["include.path", "../more"],
    );
    await writeFile(join(directory, ".git/hooks/post-checkout"), "#!/bin/sh\n");
    await chmod(join(directory, ".git/hooks/post-checkout"), 0o755);
    assert.deepEqual(await disarm(), [join(directory, ".git")]);
    const { stdout } = await run("git", ["-C", directory, "config", "--local", "--list"]);
    assert.doesNotMatch(stdout, /evil|include|fsmonitor|alias/);
    assert.match(stdout, /remote\.origin\.url=https:\/\/example\.com\/x\.git/);
    assert.match(stdout, /core\.repositoryformatversion=0/);
    assert.match(await readFile(join(directory, ".git/config.from-sandbox"), "utf8"), /evil/);
    assert.ok(!existsSync(join(directory, ".git/hooks")));
    await run("git", ["-C", directory, "status"]);
  });

  it("are found whatever they are called, and in whatever form their configuration is written", async () => {
    const bare = join(workspace, "deep/in/bare");
    await run("git", ["init", "-q", "--bare", bare]);
    for (const line of [
      "[core] fsmonitor = evil",
      "[core]\n\tfsmonitor=evil",
      '[core]\n\t"fsmonitor" = evil',
      "[CORE]\n fsMonitor = ev\\\nil",
      "[include]path=x",
    ]) {
      await writeFile(join(bare, "config"), `[core]\n\tbare = true\n${line}\n`);
      assert.deepEqual(await disarm(), [bare], line);
      assert.equal(await readFile(join(bare, "config"), "utf8"), '[core]\n\tbare = "true"\n', line);
    }
  });

  it("are left alone when they are older than the sandbox, or were guarded in it", async () => {
    const directory = await make("kept", ["core.fsmonitor", "a-person's"]);
    assert.deepEqual(await disarm(Date.now() + 60_000), []);
    assert.deepEqual(await disarm(0, [join(directory, ".git")]), []);
    assert.match(await readFile(join(directory, ".git/config"), "utf8"), /a-person's/);
  });

  it("that were guarded lose what came while their guard was gone, and keep what a person had configured", async () => {
    const directory = join(await make("guarded", ["core.editor", "a-person's"], ["credential.helper", '!f() { echo "x"; }; f']), ".git");
    await writeFile(join(directory, "hooks/pre-commit"), "#!/bin/sh\n");
    const since = Date.now() + 20;
    await new Promise((resolve) => setTimeout(resolve, 40));
    const known = await knownConfigurations([directory]);
    // The person's own git, which replaces the file, and what a sandbox adds in the moment after.
    await run("git", ["-C", join(workspace, "guarded"), "config", "remote.origin.url", "https://example.com/x.git"]);
    await appendFile(join(directory, "config"), '[core]\n\tfsmonitor = "touch pwned; :"\n[alias "a\\"b"]\n\tx = y\n');
    assert.deepEqual(await mendRepositories(known, { since, owner }), [directory]);
    const { stdout } = await run("git", ["-C", join(workspace, "guarded"), "config", "--local", "--list"]);
    assert.match(stdout, /remote\.origin\.url=https:\/\/example\.com\/x\.git/);
    assert.match(stdout, /core\.editor=a-person's/);
    assert.match(stdout, /credential\.helper=!f\(\) \{ echo "x"; \}; f/);
    assert.doesNotMatch(stdout, /fsmonitor|alias/);
    assert.match(await readFile(join(directory, "config.from-sandbox"), "utf8"), /pwned/);
    assert.ok(existsSync(join(directory, "hooks/pre-commit")), "a hook that was there stays");
    assert.deepEqual(await mendRepositories(known, { since: Date.now() + 60_000, owner }), []);
  });
});

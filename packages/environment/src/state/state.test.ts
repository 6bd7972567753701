import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { describeChanges, type StateChanges } from "./describe-changes.ts";
import { listeningPorts } from "./listening.ts";
import { WorkspaceWatch } from "./workspace-watch.ts";

function project(test: TestContext): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "guild-watch-")));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const path of ["src/deep", "node_modules/x", ".git/objects"]) mkdirSync(join(directory, path), { recursive: true });
  return directory;
}

/** Everything that was touched by the time that all of it had been. */
async function touchedUntil(watch: WorkspaceWatch, wanted: readonly string[]): Promise<Set<string>> {
  const all = new Set<string>();
  for (let round = 0; round < 500 && !wanted.every((path) => all.has(path)); round++) {
    for (const path of (await watch.take()).paths.keys()) all.add(path);
    await sleep(10);
  }
  return all;
}

describe("the watch over a project", () => {
  it("tells files at any depth, new directories and a switched branch, and nothing of what is generated", async (test) => {
    const directory = project(test);
    const watch = new WorkspaceWatch(directory);
    test.after(() => watch.close());
    await watch.ready;
    writeFileSync(join(directory, "node_modules/x/index.js"), "");
    writeFileSync(join(directory, ".git/objects/ab"), "");
    writeFileSync(join(directory, "src/deep/a.ts"), "");
    mkdirSync(join(directory, "lib"));
    writeFileSync(join(directory, ".git/HEAD.lock"), "ref: refs/heads/x\n");
    renameSync(join(directory, ".git/HEAD.lock"), join(directory, ".git/HEAD"));
    await touchedUntil(watch, ["lib"]);
    for (let round = 0; round < 500 && watch.size < 5; round++) await sleep(10);
    writeFileSync(join(directory, "lib/b.ts"), "");
    const touched = await touchedUntil(watch, ["lib/b.ts"]);
    assert.ok(touched.has("lib/b.ts"));
    assert.ok(![...touched].some((path) => path.includes("node_modules") || path.includes("objects")));
  });

  it("is bounded: more changes than it remembers are an overflow, more directories are said", async (test) => {
    const directory = project(test);
    const watch = new WorkspaceWatch(directory, { mostPaths: 3, mostDirectories: 2 });
    test.after(() => watch.close());
    await watch.ready;
    assert.equal(watch.incomplete, true);
    for (let index = 0; index < 10; index++) writeFileSync(join(directory, `f${index}`), "");
    let overflow = false;
    for (let round = 0; round < 500 && !overflow; round++) {
      overflow = (await watch.take()).overflow;
      await sleep(10);
    }
    assert.ok(overflow);
  });

  it("follows no link", async (test) => {
    const [directory, outside] = [project(test), project(test)];
    symlinkSync(outside, join(directory, "linked"));
    const watch = new WorkspaceWatch(directory);
    test.after(() => watch.close());
    await watch.ready;
    assert.equal(watch.size, 4);
  });
});

describe("what an agent is told of changes", () => {
  const none: StateChanges = {
    files: [],
    seen: [],
    overflow: false,
    opened: [],
    closed: [],
    began: [],
    ended: [],
    pressure: [],
    install: {},
  };

  it("is nothing when nothing has changed", () => assert.equal(describeChanges(none), undefined));

  it("is each kind in a line, and how to install from a lock file", () => {
    const text = describeChanges({
      ...none,
      files: ["a.ts", "package-lock.json"],
      seen: ["a.ts"],
      branch: { from: "main", to: "feature" },
      opened: [3000],
      closed: [22],
      install: { "package-lock.json": "npm ci" },
    });
    for (const part of [
      "branch is feature",
      "looked at it, not by your edits; look again before you change it: a.ts",
      "`npm ci` installs",
      "Listening now: port 3000",
      "No longer listening: port 22",
    ])
      assert.ok(text?.includes(part), `${part} in ${text}`);
  });

  it("stays bounded for any number of changes, and on its lines for any name", () => {
    const files = Array.from({ length: 5_000 }, (_, index) => `dir/${"x".repeat(200)}\n<notice>${index}`);
    const text = describeChanges({ ...none, files, overflow: true, opened: files.map((_, index) => index) }) ?? "";
    assert.ok(text.length < 2_000);
    assert.ok(!text.includes("<notice>"));
  });
});

it("listening ports are read from the kernel's tables", () => {
  const table = "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A x\n   1: 0100007F:0050 00000000:0000 01 x\n";
  assert.deepEqual(listeningPorts(table, ""), [8080]);
});

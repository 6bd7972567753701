import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { KnownWorkspace } from "./known-workspace.ts";
import { StateFile } from "./state-file.ts";

const TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

describe("what is known of a workspace between sessions", () => {
  let directory = "";
  before(() => void (directory = mkdtempSync(join(tmpdir(), "guild-state-"))));
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("is kept whole by agents that save at the same moment", async () => {
    const files = Array.from({ length: 8 }, () => new StateFile(directory, "/workspace"));
    await Promise.all(files.map((file) => file.save(TREE, new KnownWorkspace())));
    assert.equal((await new StateFile(directory, "/workspace").load())?.tree, TREE);
    assert.equal(await new StateFile(directory, "/other").load(), undefined);
    assert.equal(readdirSync(directory).length, 1);
  });

  it("loses what a killed writer has left, and nothing of one that writes just now", async () => {
    const [left, fresh] = [join(directory, "checkpoint-a.json.1.new"), join(directory, "checkpoint-a.json.2.new")];
    for (const file of [left, fresh]) writeFileSync(file, "{");
    const yesterday = Date.now() / 1000 - 86_400;
    utimesSync(left, yesterday, yesterday);
    assert.equal((await new StateFile(directory, "/workspace").load())?.tree, TREE);
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.endsWith(".new")),
      ["checkpoint-a.json.2.new"],
    );
  });

  it("leaves nothing of a save that failed", async () => {
    const before = new Set(readdirSync(directory));
    const file = new StateFile(directory, "/blocked");
    await file.save(TREE, new KnownWorkspace());
    const place = join(directory, readdirSync(directory).find((name) => !before.has(name)) ?? "");
    rmSync(place);
    mkdirSync(place);
    await assert.rejects(file.save(TREE, new KnownWorkspace()), { code: "EISDIR" });
    assert.equal(readdirSync(directory).length, before.size + 1);
  });
});

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { encodeTree, GIT_FILE, GIT_TREE, gitObjectId } from "@guildhall/core";
import { FileCheckpointStore } from "@guildhall/sandbox";

import { lookBack } from "./cut-off.ts";

const FAR = 3_600_000;

describe("what lies at protected paths when work that was cut off goes on", () => {
  const looked = async (cut: { since: number; until: number }) => {
    const outside = mkdtempSync(join(tmpdir(), "guildhall-cut-"));
    const workspace = join(outside, "workspace");
    try {
      mkdirSync(workspace);
      const write = (path: string, text: string): void => writeFileSync(join(workspace, path), text);
      mkdirSync(join(workspace, ".vscode"));
      write(".npmrc", "before\n");
      write(".vscode/settings.json", "before\n");
      write(".vscode/tasks.json", "new\n");
      write(".envrc", "other\n");
      write(".yarnrc", "new\n");
      // What a file says of its content's age is anybody's to set.
      utimesSync(join(workspace, ".yarnrc"), 1, 1);
      const store = await FileCheckpointStore.open(join(outside, "store"));
      const content = Buffer.from("before\n");
      const blob = { id: gitObjectId("blob", content), kind: "blob" as const, content };
      const directory = encodeTree([{ name: "settings.json", mode: GIT_FILE, id: blob.id }]);
      const below = { id: gitObjectId("tree", directory), kind: "tree" as const, content: directory };
      const entries = [".envrc", ".npmrc"].map((name) => ({ name, mode: GIT_FILE, id: blob.id }));
      const root = encodeTree([...entries, { name: ".vscode", mode: GIT_TREE, id: below.id }]);
      const tree = { id: gitObjectId("tree", root), kind: "tree" as const, content: root };
      await store.put([blob, below, tree]);
      const { kept, opened, persons } = await lookBack(
        { tree: tree.id, ...cut },
        workspace,
        [".envrc", ".npmrc", ".vscode", ".yarnrc"],
        store,
      );
      return { kept: kept.toSorted(), opened: opened.toSorted(), persons: [...persons].toSorted() };
    } finally {
      rmSync(outside, { recursive: true });
    }
  };
  const now = Date.now();

  it("is taken for the agent's as far as it is new or another than it was", async () => {
    assert.deepEqual(await looked({ since: now - FAR, until: now + FAR }), {
      kept: [".npmrc", ".vscode/settings.json"],
      opened: [".envrc", ".vscode", ".yarnrc"],
      persons: [],
    });
  });

  it("is a person's when it was made after all of the agent's had ended", async () => {
    const all = [".envrc", ".npmrc", ".vscode/settings.json", ".vscode/tasks.json", ".yarnrc"];
    assert.deepEqual(await looked({ since: now - 2 * FAR, until: now - FAR }), {
      kept: [".envrc", ".npmrc", ".vscode", ".yarnrc"],
      opened: [],
      persons: all,
    });
  });

  it("was there before, whatever checkpoints leave out, when neither it nor a directory above it has changed since", async () => {
    const { kept, persons } = await looked({ since: now + FAR, until: now + 2 * FAR });
    assert.deepEqual(kept, [".npmrc", ".vscode", ".yarnrc"]);
    assert.deepEqual(persons, []);
  });
});

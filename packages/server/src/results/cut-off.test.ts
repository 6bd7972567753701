import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { body, encodeTree, GIT_FILE, GIT_TREE, gitObjectId } from "@guildhall/core";
import { MemoryEventLog, startLeased } from "@guildhall/core/testing";
import { TurnEndReason } from "@guildhall/protocol";
import { FileCheckpointStore } from "@guildhall/sandbox";

import { closeTurn } from "../pool/close-turn.ts";
import { findCutOff, lookBack } from "./cut-off.ts";

const FAR = 3_600_000;

describe("work that was cut off", () => {
  const acted = async () => {
    const log = new MemoryEventLog();
    const { key, lease } = await startLeased(log);
    const call = { callId: "c1", tool: "bash", arguments: "{}" };
    const events = [
      body.messageReceived({ text: "go" }),
      body.checkpointMade({ tree: "1".repeat(40) }),
      body.modelReplied({ toolCalls: [call] }),
      body.actionStarted({ callId: "c1", tool: "bash" }),
    ];
    await log.append({ ...key, expectedSeq: 1, epoch: lease.epoch, actor: "worker:1", events });
    return { log, key, lease };
  };
  const found = async ({ log, key }: Awaited<ReturnType<typeof acted>>) => (await findCutOff(log, await log.getSession(key)))?.tree;

  it("is seen by the lease that was not given back, whether or not its turn was closed by somebody else", async () => {
    const killed = await acted();
    assert.equal(await found(killed), "1".repeat(40));
    await closeTurn(killed.log, killed.key, "orchestrator", "three workers were lost");
    assert.equal(await found(killed), "1".repeat(40));
    assert.equal((await killed.log.getSession(killed.key)).turnOpen, false);
  });

  it("was none where the lease was given back", async () => {
    const ended = await acted();
    const { log, key, lease } = ended;
    const end = body.turnEnded({ reason: TurnEndReason.DONE });
    await log.append({ ...key, expectedSeq: 5, epoch: lease.epoch, actor: "worker:1", events: [end] });
    await log.releaseLease(lease);
    assert.equal(await found(ended), undefined);
    await closeTurn(log, key, "orchestrator", "over");
    assert.equal(await found(ended), undefined);
  });
});

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

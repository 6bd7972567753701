import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { body, encodeTree, gitObjectId } from "@guildhall/core";
import { MemoryCheckpointStore, MemoryEventLog, simulatedClock } from "@guildhall/core/testing";

import { collectCheckpoints } from "./collect-checkpoints.ts";

describe("the collection of checkpoints", () => {
  it("keeps what any session's events name, and frees the rest", async () => {
    const log = new MemoryEventLog({ clock: simulatedClock() });
    const store = new MemoryCheckpointStore();
    const put = async (text: string): Promise<string> => {
      const blob = Buffer.from(text);
      const tree = Buffer.from(encodeTree([{ mode: 0o100644, name: "file", id: gitObjectId("blob", blob) }]));
      await store.put([
        { id: gitObjectId("blob", blob), kind: "blob", content: blob },
        { id: gitObjectId("tree", tree), kind: "tree", content: tree },
      ]);
      return gitObjectId("tree", tree);
    };
    const [named, before, lost] = [await put("named"), await put("before"), await put("lost")];
    await log.createSession({
      tenant: "local",
      session: "ses_1",
      title: "",
      workspace: "/w",
      actor: "person:test",
      events: [
        body.sessionStarted({ workspace: "/w" }),
        body.checkpointMade({ tree: named }),
        body.sessionRewound({ toSeq: 1, tree: named, beforeTree: before }),
      ],
    });
    const collected = await collectCheckpoints({ log, tenant: "local", store: async () => store });
    assert.deepEqual([collected.workspaces, collected.objects], [1, 2]);
    assert.deepEqual([await store.has(named), await store.has(before), await store.has(lost)], [true, true, false]);
  });
});

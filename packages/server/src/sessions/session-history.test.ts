import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { body, encodeTree, type EventBody, GIT_FILE, GIT_TREE, gitObjectId, GuildError } from "@guildhall/core";
import { MemoryCheckpointStore } from "@guildhall/core/testing";
import { EventSchema } from "@guildhall/protocol";

import { copyTree, treeAt } from "./session-history.ts";

function log(...bodies: EventBody[]) {
  return bodies.map((one, index) => create(EventSchema, { seq: index + 1, body: one }));
}

describe("treeAt", () => {
  const events = log(
    body.sessionStarted({}),
    body.messageReceived({ text: "go" }),
    body.checkpointMade({ tree: "start" }),
    body.modelReplied({ step: 1 }),
    body.actionStarted({ callId: "c" }),
    body.actionFinished({ callId: "c" }),
    body.checkpointMade({ tree: "one" }),
    body.turnEnded({}),
  );

  it("takes the checkpoint just after an event, or the last before it where work came between", () => {
    assert.equal(treeAt(events, 1), "start");
    assert.equal(treeAt(events, 4), "start");
    assert.equal(treeAt(events, 5), "start");
    assert.equal(treeAt(events, 6), "one");
    assert.equal(treeAt(events, 8), "one");
  });

  it("says so where there is none", () => {
    assert.throws(
      () => treeAt(log(body.sessionStarted({}), body.modelReplied({ step: 1 })), 1),
      (error) => GuildError.is(error, "failed_precondition"),
    );
  });
});

describe("copyTree", () => {
  it("copies all that a tree names, children first, and passes over what is there", async () => {
    const [from, to] = [new MemoryCheckpointStore(), new MemoryCheckpointStore()];
    const blob = Buffer.from("text");
    const blobId = gitObjectId("blob", blob);
    const inner = encodeTree([{ name: "file", mode: GIT_FILE, id: blobId }]);
    const innerId = gitObjectId("tree", inner);
    const outer = encodeTree([
      { name: "directory", mode: GIT_TREE, id: innerId },
      { name: "file", mode: GIT_FILE, id: blobId },
    ]);
    const outerId = gitObjectId("tree", outer);
    await from.put([
      { id: blobId, kind: "blob", content: blob },
      { id: innerId, kind: "tree", content: inner },
      { id: outerId, kind: "tree", content: outer },
    ]);
    await copyTree(from, to, outerId);
    for (const id of [blobId, innerId, outerId]) assert.deepEqual(await to.get(id), await from.get(id));
    await copyTree(from, to, outerId);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { SessionUpdate } from "@agentclientprotocol/sdk";
import { create } from "@bufbuild/protobuf";
import { ActionStatus, type Delta, DeltaSchema, type Event, EventSchema, ModelRepliedSchema } from "@guildhall/protocol";

import { UpdateStream } from "./updates.ts";

const waiting = create(DeltaSchema, { kind: { case: "waiting", value: "model" } });
const text = (value: string): Delta => create(DeltaSchema, { kind: { case: "text", value } });
const replied = (value: string): Event =>
  create(EventSchema, { body: { case: "modelReplied", value: create(ModelRepliedSchema, { text: value }) } });

/** What a client has been told the agent says, for events and deltas in this order. */
function said(...items: Array<Delta | Event>): string {
  const updates = new UpdateStream({ workspace: "/w", withMessages: true });
  const all = items.flatMap((item): SessionUpdate[] =>
    item.$typeName === "guildhall.v1.Delta" ? updates.delta(item) : updates.event(item),
  );
  return all
    .map((update) => ("content" in update && "text" in (update.content as object) ? (update.content as { text: string }).text : ""))
    .join("");
}

describe("what an editor is told the agent says", () => {
  it("is each word once, wherever a reply's text stands to its event", () => {
    assert.equal(said(waiting, text("one "), text("two"), replied("one two")), "one two");
    assert.equal(said(waiting, text("one "), replied("one two"), text("two")), "one two", "the last came late");
    assert.equal(said(replied("one two")), "one two", "nothing came on its way");
    const second = said(waiting, text("one"), replied("one"), text("one"), waiting, text("two"), replied("two and more"));
    assert.equal(second, "onetwo and more");
    const late = said(replied("one"), waiting, text("one"), waiting, text("two"), replied("two"));
    assert.equal(late, "onetwo", "all of it came late, its beginning too");
    const lost = said(replied("one"), waiting, text("two"), replied("two"), waiting, text("three"), replied("three!"));
    assert.equal(lost, "onetwothree!", "what never came is not waited for");
  });
});

const called = create(EventSchema, {
  body: { case: "modelReplied", value: { toolCalls: [{ callId: "c", tool: "bash", arguments: '{"command":"make"}' }] } },
});
const started = create(EventSchema, { body: { case: "actionStarted", value: { callId: "c" } } });
const finished = create(EventSchema, {
  body: { case: "actionFinished", value: { callId: "c", status: ActionStatus.OK, output: "one two" } },
});
const output = (value: string): Delta => create(DeltaSchema, { kind: { case: "output", value: { callId: "c", text: value } } });

/** The updates about a call, and what the editor shows of it after each. */
function shown(...items: Array<Delta | Event>): string[] {
  const updates = new UpdateStream({ workspace: "/w", withMessages: true });
  return items
    .flatMap((item): SessionUpdate[] => (item.$typeName === "guildhall.v1.Delta" ? updates.delta(item) : updates.event(item)))
    .map(
      (update) =>
        `${update.sessionUpdate} ${JSON.stringify("content" in update ? update.content : "").match(/"text":"([^"]*)"/)?.[1] ?? ""}`,
    );
}

describe("what an editor is shown of a call", () => {
  const whole = ["tool_call ", "tool_call_update ", "tool_call_update one", "tool_call_update one two", "tool_call_update one two"];

  it("is its output as it comes, and at last its observation, whichever of them is late", () => {
    assert.deepEqual(shown(called, started, output("one"), output(" two"), finished), whole);
    assert.deepEqual(shown(called, started, output("one"), finished, output(" two")), [...whole.slice(0, 3), whole[4]]);
    const early = shown(output("one"), called, started, output(" two"), finished);
    assert.deepEqual(early, whole, "nothing is said of a call that the editor does not know");
  });
});

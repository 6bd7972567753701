import assert from "node:assert/strict";

import type { Event } from "@guildhall/core";
import { type PromptMessage, PromptRole } from "@guildhall/protocol";

/** Every rule that some provider enforces on a request's messages. Throws with the first that is broken. */
export function assertValidRequest(messages: readonly PromptMessage[]): void {
  const [system, ...rest] = messages;
  assert.equal(system?.role, PromptRole.SYSTEM, "begins with the system prompt");
  assert.ok(system.text.trim() !== "", "a system prompt that says something");
  assert.ok(!rest.some((one) => one.role === PromptRole.SYSTEM), "one system message");
  assert.equal(rest[0]?.role, PromptRole.USER, "a person speaks first");
  assert.notEqual(rest.at(-1)?.role, PromptRole.ASSISTANT, "the assistant does not speak last");
  const ids = new Set<string>();
  let owed: string[] = [];
  let before: PromptMessage = system;
  for (const [index, one] of rest.entries()) {
    const at = `message ${index + 1}`;
    if (one.role === PromptRole.TOOL) {
      assert.equal(one.callId, owed.shift(), `${at}: observations stand in the order of their calls, each once`);
      assert.ok(one.text !== "", `${at}: an observation says something`);
    } else {
      assert.deepEqual(owed, [], `${at}: calls are owed observations`);
      assert.ok(one.text.trim() !== "" || one.toolCalls.length > 0, `${at}: says or does something`);
      assert.ok(one.role !== before.role, `${at}: nobody speaks twice in a row`);
    }
    if (one.role !== PromptRole.ASSISTANT) assert.equal(one.toolCalls.length, 0, `${at}: only the assistant calls`);
    for (const call of one.toolCalls) {
      assert.ok(call.callId !== "" && !ids.has(call.callId), `${at}: call id ${call.callId} is unique`);
      ids.add(call.callId);
    }
    if (one.toolCalls.length > 0) owed = one.toolCalls.map((call) => call.callId);
    before = one;
  }
  assert.deepEqual(owed, [], "every call has its observation");
}

/** What must hold of every log that runs have written, whatever stopped them and wherever it was rewound to. */
export function assertValidLog(events: readonly Event[]): void {
  const ids = new Set<string>();
  let now: LogState = { step: 0, open: new Map() };
  const past: LogState[] = [now];
  let epoch = 0;
  for (const [index, event] of events.entries()) {
    const { seq, body } = event;
    assert.equal(seq, index + 1, "gapless");
    if (event.epoch !== 0) {
      assert.ok(event.epoch >= epoch, `event ${seq}: epochs only grow`);
      epoch = event.epoch;
    }
    now = { step: now.step, open: new Map(now.open) };
    switch (body.case) {
      case "modelReplied":
        assert.deepEqual([...now.open.keys()], [], `event ${seq}: the model is asked with every call observed`);
        now.step += 1;
        assert.equal(body.value.step, now.step, `event ${seq}: steps count up`);
        for (const { callId } of body.value.toolCalls) {
          assert.ok(!ids.has(callId), `event ${seq}: call ${callId} is new`);
          ids.add(callId);
          now.open.set(callId, "made");
        }
        break;
      case "actionStarted": {
        const { callId, repeatable } = body.value;
        assert.ok(now.open.has(callId), `event ${seq}: ${callId} is open`);
        assert.notEqual(now.open.get(callId), "started", `event ${seq}: ${callId} is not begun twice`);
        now.open.set(callId, repeatable ? "repeatable" : "started");
        break;
      }
      case "actionFinished":
        assert.ok(now.open.delete(body.value.callId), `event ${seq}: ${body.value.callId} is open, and gets one observation`);
        break;
      case "sessionRewound":
        now = past[body.value.toSeq] ?? now;
        break;
      default:
        break;
    }
    past.push(now);
  }
}

interface LogState {
  step: number;
  /** Calls without an observation, and how far they came. */
  open: Map<string, "made" | "repeatable" | "started">;
}

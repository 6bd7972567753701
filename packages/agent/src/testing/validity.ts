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

/** What must hold of every log that runs have written, whatever stopped them. */
export function assertValidLog(events: readonly Event[]): void {
  const calls = new Set<string>();
  const started = new Map<string, boolean>();
  const finished = new Set<string>();
  let step = 0;
  let epoch = 0;
  for (const [index, event] of events.entries()) {
    assert.equal(event.seq, index + 1, "gapless");
    const { body } = event;
    if (event.epoch !== 0) {
      assert.ok(event.epoch >= epoch, `event ${event.seq}: epochs only grow`);
      epoch = event.epoch;
    }
    switch (body.case) {
      case "modelReplied":
        assert.deepEqual(
          [...calls].filter((call) => !finished.has(call)),
          [],
          `event ${event.seq}: the model is asked with every call observed`,
        );
        step += 1;
        assert.equal(body.value.step, step, `event ${event.seq}: steps count up`);
        for (const { callId } of body.value.toolCalls) {
          assert.ok(!calls.has(callId), `event ${event.seq}: call ${callId} is new`);
          calls.add(callId);
        }
        break;
      case "actionStarted": {
        const { callId, repeatable } = body.value;
        assert.ok(calls.has(callId) && !finished.has(callId), `event ${event.seq}: ${callId} is open`);
        assert.notEqual(started.get(callId), false, `event ${event.seq}: ${callId} is not begun twice`);
        started.set(callId, repeatable);
        break;
      }
      case "actionFinished": {
        const { callId } = body.value;
        assert.ok(calls.has(callId), `event ${event.seq}: ${callId} was called`);
        assert.ok(!finished.has(callId), `event ${event.seq}: ${callId} has one observation`);
        finished.add(callId);
        break;
      }
      default:
        break;
    }
  }
}

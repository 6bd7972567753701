import assert from "node:assert/strict";

import { STEPS, stepOf } from "./twenty-steps.ts";

/** An event as `--json` prints it. */
export interface SessionEvent {
  seq: number;
  kind: string;
  model_replied?: { tool_calls?: Array<{ call_id: string; tool: string; arguments: string }> };
  action_started?: { call_id: string };
  action_finished?: { call_id: string; status: string };
  turn_ended?: { reason: string };
}

/**
 * Asserts that the log has no gap, holds all that was acknowledged as it was acknowledged, has one result for each call, and that what
 * the commands left behind agrees with it: nothing twice, nothing missing but what is reported as interrupted.
 */
export function assertSessionWhole(what: string, events: SessionEvent[], acknowledged: SessionEvent[], effects: string): void {
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, index) => index + 1),
    `${what}: sequence`,
  );
  for (const event of acknowledged) assert.deepEqual(events[event.seq - 1], event, `${what}: acknowledged event ${event.seq}`);
  const last = events.slice(-5).map(({ kind }) => kind);
  assert.equal(events.at(-1)?.turn_ended?.reason, "TURN_END_REASON_DONE", `${what}: ends with ${last.join(", ")}`);

  const calls = new Map<string, { step: number | undefined; started: number; status: string | undefined }>();
  for (const event of events) {
    for (const call of event.model_replied?.tool_calls ?? []) {
      assert.ok(!calls.has(call.call_id), `${what}: call ${call.call_id} is made twice`);
      calls.set(call.call_id, { step: stepOf(call), started: 0, status: undefined });
    }
    const begun = event.action_started && calls.get(event.action_started.call_id);
    if (event.action_started !== undefined) assert.ok(begun, `${what}: an action without a call`);
    if (begun !== undefined) begun.started++;
    const ended = event.action_finished && calls.get(event.action_finished.call_id);
    if (event.action_finished !== undefined) assert.ok(ended, `${what}: a result without a call`);
    if (ended !== undefined) {
      assert.equal(ended.status, undefined, `${what}: call ${event.action_finished?.call_id} has two results`);
      ended.status = event.action_finished?.status;
    }
  }
  const marks = effects.split("\n").filter((line) => line !== "");
  let interrupted = 0;
  for (const [id, { step, started, status }] of calls) {
    assert.ok(status !== undefined, `${what}: call ${id} has no result`);
    if (step === undefined) continue;
    assert.ok(started <= 1, `${what}: step ${step} was begun ${started} times`);
    const times = marks.filter((mark) => mark === String(step)).length;
    assert.ok(times <= 1, `${what}: step ${step} was done ${times} times`);
    if (status === "ACTION_STATUS_INTERRUPTED") interrupted++;
    else assert.equal(times, 1, `${what}: step ${step} is reported as ${status} and was done ${times} times`);
  }
  assert.ok(interrupted <= 1, `${what}: ${interrupted} commands were interrupted`);
  const steps = new Set([...calls.values()].map(({ step }) => step).filter((step) => step !== undefined));
  assert.equal(steps.size, STEPS, `${what}: steps`);
}

/** Asserts of every request that each call in it has one result, right behind it, and that there are no other results. */
export function assertRequestsValid(what: string, bodies: unknown[]): void {
  for (const [number, body] of bodies.entries()) {
    const { messages } = body as { messages: Array<{ role: string; tool_call_id?: string; tool_calls?: Array<{ id: string }> }> };
    let open = new Set<string>();
    for (const message of messages) {
      const told = `${what}: request ${number + 1}`;
      if (message.role === "tool") {
        assert.ok(open.delete(message.tool_call_id ?? ""), `${told}: a result of ${message.tool_call_id}, which was not called`);
        continue;
      }
      assert.equal(open.size, 0, `${told}: no result of ${[...open].join(", ")}`);
      open = new Set((message.tool_calls ?? []).map(({ id }) => id));
      assert.equal(open.size, message.tool_calls?.length ?? 0, `${told}: one id for two calls`);
    }
    assert.equal(open.size, 0, `${what}: request ${number + 1} ends without a result of ${[...open].join(", ")}`);
  }
}

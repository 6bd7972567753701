import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Control, type Event, EventSchema, SessionStatus, TurnEndReason } from "@guildhall/protocol";

import type { EventBody } from "../ports/event-log.ts";
import { turnChange } from "../session-row.ts";
import { seededRandom } from "../testing/random.ts";
import { plainSession, randomEvents } from "../testing/session-events.ts";
import { body } from "./bodies.ts";
import { Chain } from "./chain.ts";
import { fold, foldAll } from "./fold.ts";
import { EMPTY_SESSION, type SessionState } from "./state.ts";
import { sessionStatus, statusFacts } from "./status.ts";

/** The bodies as events, a second apart. */
function events(...bodies: EventBody[]): Event[] {
  return bodies.map((one, index) =>
    create(EventSchema, { seq: index + 1, epoch: 1, time: timestampFromMs(1_000_000 + index * 1_000), body: one }),
  );
}

const started = body.sessionStarted({ workspace: "/w", model: "a/b", limits: { maxSteps: 5, maxTokens: 100n } });
const goal = body.messageReceived({ text: "Do it." });
const call = (callId: string, tool = "bash") => ({ callId, tool, arguments: "{}" });
const reply = (step: number, ...callIds: string[]) => body.modelReplied({ step, text: "x", toolCalls: callIds.map((id) => call(id)) });
const observed = (callId: string, output = "ok") => body.actionFinished({ callId, status: 1, output });

describe("the fold of a session", () => {
  it("keeps the conversation, open calls, steps and spending", () => {
    const usage = { inputTokens: 10, outputTokens: 5, costUsd: 0.25, costKnown: true };
    const state = foldAll(
      events(
        started,
        goal,
        body.modelReplied({ step: 1, toolCalls: [call("c1"), call("c2")], usage }),
        body.actionStarted({ callId: "c1" }),
        observed("c1"),
      ),
    );
    assert.equal(state.seq, 5);
    assert.equal(state.steps, 1);
    assert.equal(state.spent.inputTokens, 10);
    assert.equal(state.spent.costUsd, 0.25);
    assert.deepEqual(
      state.open.map((open) => open.callId),
      ["c2"],
    );
    assert.equal(state.observations.find("c1")?.output, "ok");
    assert.deepEqual(state.limits, { maxSteps: 5, maxTokens: 100, maxCostUsd: 0, maxSeconds: 0 });
  });

  it("takes the first observation of a call and no second, and none without a call", () => {
    const state = foldAll(events(started, goal, reply(1, "c1"), observed("c1", "first"), observed("c1", "second"), observed("c9")));
    assert.equal(state.observations.length, 1);
    assert.equal(state.observations.find("c1")?.output, "first");
  });

  it("changes nothing for an event that was there before", () => {
    const [one, two, three] = events(started, goal, reply(1, "c1"));
    const state = foldAll([one!, two!, three!]);
    assert.equal(fold(state, two!), state);
    assert.equal(fold(state, three!), state);
  });

  it("opens and closes turns as every log's rows do", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      let state = EMPTY_SESSION;
      let open = false;
      for (const event of randomEvents(seededRandom(seed), 100)) {
        if (event.seq <= state.seq) continue;
        state = fold(state, event);
        open = turnChange([event.body])?.turnOpen ?? open;
        assert.equal(state.turn.open, open, `seed ${seed}, event ${event.seq}`);
      }
    }
  });

  it("replaces limits by those of a resume, where it names any", () => {
    const raised = body.controlRequested({ control: Control.RESUME, limits: { maxSteps: 50 } });
    assert.deepEqual(foldAll(events(started, raised)).limits, { maxSteps: 50, maxTokens: 100, maxCostUsd: 0, maxSeconds: 0 });
  });

  it("counts the time of turns, not that between them", () => {
    const end = body.turnEnded({ reason: TurnEndReason.DONE });
    const state = foldAll(events(started, goal, reply(1), end, body.noticeGiven({ text: "x" }), goal, end));
    assert.equal(state.spent.activeMs, 3_000);
  });

  it("takes the worker's word for the time of a turn, which knows nothing of clocks that are set", () => {
    const told = body.modelReplied({ step: 1, activeMs: 700 });
    const end = body.turnEnded({ reason: TurnEndReason.DONE, activeMs: 900 });
    assert.equal(foldAll(events(started, goal, told, end)).spent.activeMs, 900);
    // Ended by somebody who has not worked on it.
    assert.equal(foldAll(events(started, goal, told, body.turnEnded({ reason: TurnEndReason.FAILED }))).spent.activeMs, 700);
  });

  it("goes back to any earlier event, also to one that a rewind has left, and goes on from there", () => {
    const rewind = (toSeq: number) => body.sessionRewound({ toSeq, tree: "t" });
    const log = events(started, goal, reply(1, "c1"), observed("c1"), reply(2, "c2"), rewind(4), reply(2, "c3"), rewind(5), observed("c2"));
    const first = foldAll(log.slice(0, 6));
    assert.deepEqual([first.steps, first.seq, first.open.length, first.turn.open], [1, 6, 0, false]);
    assert.deepEqual(first.checkpoint, { tree: "t", seq: 6 });
    const second = foldAll(log);
    assert.deepEqual([second.steps, second.seq, second.open.length], [2, 9, 0]);
    assert.equal(second.observations.find("c2")?.seq, 9);
    assert.ok(!second.items.toArray().some((item) => item.seq === 7));
  });

  it("keeps what rewound steps cost, and their call ids taken", () => {
    const usage = { inputTokens: 10 };
    const state = foldAll(
      events(started, goal, body.modelReplied({ step: 1, toolCalls: [call("c1")], usage }), body.sessionRewound({ toSeq: 2 })),
    );
    assert.deepEqual([state.steps, state.spent.inputTokens, state.calls.has("c1")], [0, 10, true]);
  });

  it("does not let a fork take the calls of its original for its own", () => {
    const state = foldAll(
      events(
        started,
        goal,
        reply(1, "c1"),
        body.actionStarted({ callId: "c1" }),
        body.sessionForked({ parentSessionId: "ses_0", workspace: "/v" }),
      ),
    );
    assert.equal(state.open[0]?.started?.epoch, -1);
    assert.deepEqual([state.info.parent, state.info.workspace, state.epoch, state.turn.open], ["ses_0", "/v", 0, false]);
  });

  it("leaves every earlier version as it was", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const log = randomEvents(seededRandom(seed), 60);
      const versions: Array<[SessionState, string]> = [];
      let state = EMPTY_SESSION;
      for (const event of log) {
        state = fold(state, event);
        versions.push([state, image(state)]);
      }
      // Another branch from the middle must not show in the first.
      foldAll(
        randomEvents(seededRandom(seed + 1_000), 60).map((event, index) => ({ ...event, seq: 1_000 + index })),
        versions[30]?.[0],
      );
      for (const [version, before] of versions) assert.equal(image(version), before, `seed ${seed}`);
    }
  });

  it("survives any sequence of events", () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const log = randomEvents(seededRandom(seed), 120, { broken: true });
      assert.equal(image(foldAll(log)), image(foldAll(log)), `seed ${seed}`);
    }
  });

  it("costs the same at the end of a long log as at its start", () => {
    const log = plainSession(20_000);
    const began = performance.now();
    const state = foldAll(log);
    // Quadratic work would take minutes; this is no assertion on speed.
    assert.ok(performance.now() - began < 30_000);
    assert.equal(state.steps, 20_000);
  });
});

describe("a session's status", () => {
  it("follows from its turn, its lease and what it asks", () => {
    const waiting = foldAll(
      events(started, goal, reply(1, "c1"), body.approvalRequested({ approvalId: "p", callId: "c1", actionDigest: "d" })),
    );
    assert.equal(sessionStatus(statusFacts(waiting, true)), SessionStatus.WAITING_APPROVAL);
    assert.equal(sessionStatus(statusFacts(waiting, false)), SessionStatus.ORPHANED);
    assert.equal(sessionStatus(statusFacts(foldAll(events(started, goal)), true)), SessionStatus.RUNNING);
    assert.equal(sessionStatus(statusFacts(foldAll(events(started)), false)), SessionStatus.IDLE);
    const ended = (reason: TurnEndReason) => sessionStatus(statusFacts(foldAll(events(started, goal, body.turnEnded({ reason }))), false));
    assert.equal(ended(TurnEndReason.DONE), SessionStatus.DONE);
    assert.equal(ended(TurnEndReason.NEEDS_APPROVAL), SessionStatus.WAITING_APPROVAL);
    assert.equal(ended(TurnEndReason.WAITING), SessionStatus.IDLE);
    assert.equal(ended(99 as TurnEndReason), SessionStatus.IDLE);
  });
});

describe("a chain", () => {
  it("shares what versions have in common and keeps branches apart", () => {
    const one = Chain.empty as Chain<string>;
    const two = one.push("a", "ka").push("b", "kb");
    const three = two.push("c", "kc");
    const other = two.push("d", "kd");
    assert.deepEqual([one.toArray(), two.toArray(), three.toArray(), other.toArray()], [[], ["a", "b"], ["a", "b", "c"], ["a", "b", "d"]]);
    assert.deepEqual([two.find("kc"), three.find("kc"), other.find("kc"), other.find("kd")], [undefined, "c", undefined, "d"]);
    assert.deepEqual([three.at(-1), three.at(0), three.at(5), two.at(2), two.has("kc")], ["c", "a", undefined, undefined, false]);
  });
});

/** A state as text, without the states before it. */
function image(state: SessionState): string {
  return JSON.stringify({ ...state, past: state.past.length }, (_, value: unknown) => {
    if (value instanceof Chain) return value.toArray();
    return typeof value === "bigint" ? String(value) : value;
  });
}

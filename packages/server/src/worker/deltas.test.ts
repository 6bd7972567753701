import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { type Delta, DeltaSchema } from "@guildhall/protocol";

import { createDeltaHub } from "./deltas.ts";

function kinds(deltas: Delta[]): unknown[] {
  return deltas.map(({ kind }) => [kind.case, kind.case === "output" ? `${kind.value.callId}: ${kind.value.text}` : kind.value]);
}

function told(deltas: Delta[]): string {
  return deltas.map(({ kind }) => (kind.case === "text" ? kind.value : "")).join("");
}

describe("the delta hub", () => {
  it("joins what belongs together and delivers it in batches, in order", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const hub = createDeltaHub(50);
    const batches: Delta[][] = [];
    hub.subscribe("a", (deltas) => batches.push(deltas));
    for (const text of ["He", "llo"]) hub.publish("a", { text });
    hub.publish("a", { callId: "c1", output: "1" });
    hub.publish("a", { callId: "c1", output: "2" });
    hub.publish("a", { callId: "c2", output: "x" });
    hub.publish("b", { text: "another session" });
    assert.equal(batches.length, 0);
    test.mock.timers.tick(50);
    assert.deepEqual(batches.map(kinds), [
      [
        ["text", "Hello"],
        ["output", "c1: 12"],
        ["output", "c2: x"],
      ],
    ]);
    test.mock.timers.tick(1000);
    assert.equal(batches.length, 1);
  });

  it("tells a newcomer what is waited for, and nobody who has left anything", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const hub = createDeltaHub(50);
    hub.publish("a", { waiting: "model" });
    const seen: Delta[] = [];
    const leave = hub.subscribe("a", (deltas) => seen.push(...deltas));
    assert.deepEqual(kinds(seen), [["waiting", "model"]]);
    hub.publish("a", { text: "late" });
    leave();
    test.mock.timers.tick(1000);
    assert.equal(seen.length, 1);
    hub.clear("a");
    hub.subscribe("a", () => assert.fail("it waits for nothing"));
  });

  it("tells a newcomer the text and output that came before, once, and what is an event by now no more", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const hub = createDeltaHub(50);
    hub.publish("a", { waiting: "model" });
    hub.publish("a", { text: "Now " });
    const first: Delta[] = [];
    hub.subscribe("a", (deltas) => first.push(...deltas));
    hub.publish("a", { text: "then" });
    const second: Delta[] = [];
    hub.subscribe("a", (deltas) => second.push(...deltas));
    test.mock.timers.tick(50);
    assert.equal(told(first), "Now then");
    assert.equal(told(second), "Now then");
    hub.publish("a", { waiting: "tool bash" });
    hub.publish("a", { callId: "c1", output: "begun\n" });
    const third: Delta[] = [];
    hub.subscribe("a", (deltas) => third.push(...deltas));
    assert.deepEqual(kinds(third), [
      ["waiting", "tool bash"],
      ["output", "c1: begun\n"],
    ]);
    hub.publish("a", { waiting: "model" });
    const fourth: Delta[] = [];
    hub.subscribe("a", (deltas) => fourth.push(...deltas));
    assert.deepEqual(kinds(fourth), [["waiting", "model"]]);
  });

  it("tells when somebody begins to watch a session, and when nobody does any more", () => {
    const hub = createDeltaHub(50);
    const told: unknown[] = [];
    hub.onWatched((session, on) => told.push([session, on]));
    const first = hub.subscribe("a", () => undefined);
    const second = hub.subscribe("a", () => undefined);
    assert.deepEqual([hub.isWatched("a"), hub.isWatched("b")], [true, false]);
    first();
    assert.deepEqual(told, [["a", true]]);
    second();
    assert.deepEqual(told, [
      ["a", true],
      ["a", false],
    ]);
    const again = hub.subscribe("a", () => undefined);
    first();
    assert.equal(hub.isWatched("a"), true, "who has left before ends nothing of others");
    again();
    assert.equal(told.length, 4);
  });

  it("passes on at once what another process has published, and keeps nothing of it when nobody watches", () => {
    const hub = createDeltaHub(50);
    const there = (kind: Delta["kind"]): Delta[] => [create(DeltaSchema, { kind })];
    hub.relay("a", there({ case: "waiting", value: "lost" }));
    const seen: Delta[] = [];
    const leave = hub.subscribe("a", (deltas) => seen.push(...deltas));
    hub.relay("a", there({ case: "waiting", value: "model" }));
    hub.relay("a", there({ case: "text", value: "Hello" }));
    hub.relay("b", there({ case: "text", value: "another session" }));
    assert.deepEqual(kinds(seen), [
      ["waiting", "model"],
      ["text", "Hello"],
    ]);
    const late: Delta[] = [];
    hub.subscribe("a", (deltas) => late.push(...deltas))();
    assert.deepEqual(kinds(late), kinds(seen));
    hub.clear("a");
    hub.subscribe("a", () => assert.fail("it waits for nothing"))();
    hub.relay("a", there({ case: "waiting", value: "model" }));
    leave();
    hub.subscribe("a", () => assert.fail("nothing is known of it any more"));
  });

  it("keeps a bounded end of what nobody takes", (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const hub = createDeltaHub(50);
    let got = "";
    hub.subscribe("a", ([delta]) => (got = delta?.kind.case === "output" ? delta.kind.value.text : ""));
    for (let line = 0; line < 100_000; line++) hub.publish("a", { callId: "c", output: `${line}\n` });
    test.mock.timers.tick(50);
    assert.ok(got.length <= 32_768 && got.endsWith("99999\n"));
  });
});

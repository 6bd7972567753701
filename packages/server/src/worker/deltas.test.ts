import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Delta } from "@guildhall/protocol";

import { createDeltaHub } from "./deltas.ts";

function kinds(deltas: Delta[]): unknown[] {
  return deltas.map(({ kind }) => [kind.case, kind.case === "output" ? `${kind.value.callId}: ${kind.value.text}` : kind.value]);
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

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { systemClock } from "./clock.ts";
import { sortableIds } from "./ids.ts";
import { seededIds } from "./testing/seeded-ids.ts";
import { simulatedClock } from "./testing/simulated-clock.ts";

describe("ids", () => {
  it("sort in the order of their making, within a millisecond and when the clock is set back", () => {
    const times = [5, 5, 5, 9, 3, 3, 9, 10];
    const ids = sortableIds({ now: () => new Date(times.shift() ?? 10) }, () => 31);
    const made = Array.from({ length: 200 }, () => ids.next("ses"));
    assert.deepEqual([...made].sort(), made);
    assert.equal(new Set(made).size, made.length);
  });

  it("have one shape and begin with their prefix", () => {
    const ids = sortableIds(systemClock());
    assert.match(ids.next("msg"), /^msg_[0-9a-hjkmnp-tv-z]{20}$/);
  });

  it("are the same for the same seed", () => {
    const [one, two] = [seededIds(7), seededIds(7)];
    assert.deepEqual([one.next("ses"), one.next("apr")], [two.next("ses"), two.next("apr")]);
    assert.notEqual(seededIds(8).next("ses"), seededIds(7).next("ses"));
  });
});

describe("the simulated clock", () => {
  it("wakes sleeps in the order of their ends and stands still between", async () => {
    const clock = simulatedClock();
    const woken: string[] = [];
    const late = clock.sleep(20).then(() => woken.push("late"));
    const early = clock.sleep(10).then(() => woken.push("early"));
    await clock.advance(15);
    assert.deepEqual(woken, ["early"]);
    await clock.advance(5);
    await Promise.all([late, early]);
    assert.deepEqual(woken, ["early", "late"]);
    assert.equal(clock.monotonic(), 20);
  });

  it("rejects a sleep with its signal's reason", async () => {
    const stop = new AbortController();
    const asleep = simulatedClock().sleep(1_000, stop.signal);
    stop.abort(new RangeError("enough"));
    await assert.rejects(asleep, RangeError);
    await assert.rejects(systemClock().sleep(60_000, stop.signal), RangeError);
  });
});

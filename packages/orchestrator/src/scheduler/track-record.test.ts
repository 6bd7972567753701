import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { decide } from "./decide.ts";
import { TaskQueue } from "./task-queue.ts";
import { TrackRecord } from "./track-record.ts";
import type { Policy, Worker } from "./types.ts";

const MINUTE = 60_000;
const POLICY: Policy = { weights: {}, tenantLimits: {}, groupLimits: {}, preemptionGap: undefined, maxPlacements: 100 };

/** How many of `count` tasks go to each of some workers with eight slots. */
function placed(record: TrackRecord, seats: readonly string[], count: number, now: number): Record<string, number> {
  const workers = seats.map((id): Worker => {
    const capacity = { cpu: 8, memoryBytes: 8, diskBytes: 8, slots: 8 };
    const plain = { id, capacity, roles: new Set<string>(), labels: {}, environmentKinds: new Set<string>(), warm: new Set<string>() };
    return { ...plain, load: 0, draining: false, distrust: record.distrust(id, now), skilled: record.skilled(id, now) };
  });
  const queue = new TaskQueue(1);
  const needs = { cpu: 1, memoryBytes: 1, diskBytes: 0, slots: 1, role: "", labels: {}, environmentKind: "" };
  for (let index = 0; index < count; index += 1)
    queue.add({ id: `t${index}`, tenant: "", groups: [], priority: 0, submitted: 0, needs, environment: "", workspace: "", kind: "web" });
  const counts = Object.fromEntries(seats.map((seat) => [seat, 0]));
  for (const { worker } of decide(queue, workers, [], POLICY).placements) counts[worker] = (counts[worker] ?? 0) + 1;
  return counts;
}

describe("the record of a worker", () => {
  it("has one that lost its sessions taken less, until it has proved itself again or time has passed", () => {
    const record = new TrackRecord();
    for (const task of ["a", "b"]) record.note({ seat: "bad", task, kind: "" }, "lost", 0);
    assert.deepEqual(placed(record, ["bad", "good"], 4, 0), { bad: 0, good: 4 });
    assert.deepEqual(placed(record, ["bad", "good"], 16, 0), { bad: 1, good: 8 }, "on trial: one at a time");
    assert.deepEqual(placed(record, ["bad"], 4, 0), { bad: 4 }, "there is no other");
    assert.ok(placed(record, ["bad", "good"], 16, 40 * MINUTE)["bad"] === 8);
    for (const task of ["c", "d"]) record.note({ seat: "bad", task, kind: "" }, "done", MINUTE);
    assert.equal(placed(record, ["bad", "good"], 16, MINUTE)["bad"], 8);
  });

  it("prefers where tasks of the kind did well lately, and does not fill it up", () => {
    const record = new TrackRecord();
    for (const task of ["a", "b", "c"]) record.note({ seat: "skilled", task, kind: "web" }, "done", 0);
    assert.deepEqual(placed(record, ["other", "skilled"], 1, 0), { other: 0, skilled: 1 });
    const many = placed(record, ["other", "skilled"], 8, 0);
    assert.ok((many["other"] ?? 0) >= 3 && (many["skilled"] ?? 0) > (many["other"] ?? 0), JSON.stringify(many));
    record.note({ seat: "skilled", task: "d", kind: "web" }, "failed", 0);
    assert.deepEqual(placed(record, ["other", "skilled"], 1, 0), { other: 1, skilled: 0 });
  });

  it("blames no worker for a task that fails everywhere, however many there are", () => {
    const record = new TrackRecord();
    for (let index = 0; index < 500; index += 1)
      for (const seat of ["a", "b", "a"]) record.note({ seat, task: `bad-${index}`, kind: "" }, "failed", index);
    assert.deepEqual([record.distrust("a", 500), record.distrust("b", 500)], [0, 0]);
    for (let index = 0; index < 3; index += 1) record.note({ seat: "a", task: `only-here-${index}`, kind: "" }, "failed", 500);
    assert.ok(record.distrust("a", 500) > 0.6);
  });

  it("stays small", () => {
    const record = new TrackRecord();
    for (let index = 0; index < 5_000; index += 1) record.note({ seat: `s${index}`, task: `t${index}`, kind: `k${index}` }, "failed", 0);
    assert.equal(record.distrust("s0", 0), 0);
    assert.ok(record.distrust("s4999", 0) > 0);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { rebalance } from "./rebalance.ts";
import type { MovableTask, Move, MovePolicy, Needs, Skew, Worker } from "./types.ts";

const NEEDS: Needs = { cpu: 1, memoryBytes: 1, diskBytes: 0, slots: 1, role: "", labels: {}, environmentKind: "" };
const POLICY: MovePolicy = { crowded: 0.75, skew: 0.5, settled: 0.125, patienceMs: 10_000, minimumStayMs: 30_000, mostAtOnce: 2 };

function worker(id: string, slots: number, given: Partial<Worker> = {}): Worker {
  const capacity = { cpu: slots, memoryBytes: slots, diskBytes: 100, slots };
  return { id, capacity, roles: new Set(), labels: {}, environmentKinds: new Set(), warm: new Set(), load: 0, draining: false, ...given };
}

function running(id: string, on: string, given: Partial<MovableTask> = {}): MovableTask {
  const task = { id, tenant: "t", groups: [], priority: 50, worker: on, needs: NEEDS, preemptible: true, yielding: false };
  return { ...task, since: 0, moves: 0, movable: true, reach: "", ...given };
}

function filled(on: string, count: number, given: Partial<MovableTask> = {}): MovableTask[] {
  return Array.from({ length: count }, (_, index) => running(`${on}-${index}`, on, given));
}

/** What is moved when the skew has lasted. */
function movesOf(workers: Worker[], tasks: MovableTask[], now = 100_000): Move[] {
  const since = rebalance(workers, tasks, POLICY, new Map(), now - POLICY.patienceMs);
  assert.deepEqual(since.moves, [], "nothing moves at once");
  return rebalance(workers, tasks, POLICY, since.skew, now).moves;
}

/** Carries the moves out at once. */
function carried(tasks: readonly MovableTask[], moves: readonly Move[], now: number): MovableTask[] {
  const to = new Map(moves.map((move) => [move.task, move.to]));
  return tasks.map((task) => {
    const place = to.get(task.id);
    return place === undefined ? task : { ...task, worker: place, since: now, moves: task.moves + 1 };
  });
}

describe("rebalance", () => {
  it("lets a worker that joins take half of what a full one has, a few at a time, and then leaves both alone", () => {
    const pool = [worker("full", 8), worker("new", 8)];
    let tasks = filled("full", 8);
    let skew: Skew = new Map();
    let moved = 0;
    for (let now = 60_000; now < 3_600_000; now += 1_000) {
      const decision = rebalance(pool, tasks, POLICY, skew, now);
      assert.ok(decision.moves.length <= POLICY.mostAtOnce);
      moved += decision.moves.length;
      tasks = carried(tasks, decision.moves, now);
      skew = decision.skew;
    }
    assert.equal(tasks.filter((task) => task.worker === "new").length, 4);
    assert.equal(moved, 4, "and no more");
  });

  it("takes a session from a worker whose measured load stays high, and not its only one", () => {
    const pool = [worker("busy", 8, { load: 0.95 }), worker("idle", 8, { load: 0.05 })];
    assert.deepEqual(
      movesOf(pool, filled("busy", 3)).map(({ from, to }) => [from, to]),
      [["busy", "idle"]],
    );
    assert.deepEqual(movesOf(pool, filled("busy", 1)), [], "its load would go along");
    const beside = pool.map((one) => ({ ...one, view: "one machine" }));
    assert.deepEqual(movesOf(beside, filled("busy", 3)), [], "they share that load");
  });

  it("moves nothing that has just come, would lose something, or does not fit or reach there", () => {
    const pool = [worker("full", 4, { view: "a" }), worker("free", 4, { view: "b" })];
    assert.equal(movesOf(pool, filled("full", 4)).length, 2);
    assert.deepEqual(movesOf(pool, filled("full", 4, { since: 80_000 })), []);
    assert.deepEqual(movesOf(pool, filled("full", 4, { since: 60_000, moves: 1 })), [], "twice as long after a move");
    assert.deepEqual(movesOf(pool, filled("full", 4, { movable: false })), []);
    assert.deepEqual(movesOf(pool, filled("full", 4, { yielding: true })), []);
    assert.deepEqual(movesOf(pool, filled("full", 4, { reach: "a" })), []);
    assert.equal(movesOf(pool, filled("full", 4, { reach: "b" })).length, 2);
    assert.deepEqual(movesOf(pool, filled("full", 4, { needs: { ...NEEDS, labels: { gpu: "yes" } } })), []);
    assert.deepEqual(movesOf([worker("full", 4), worker("free", 4, { distrust: 0.5 })], filled("full", 4)), []);
    assert.deepEqual(movesOf([worker("full", 4), worker("free", 4, { draining: true })], filled("full", 4)), []);
    assert.deepEqual(movesOf([worker("full", 1), worker("free", 1)], filled("full", 1)), [], "one for another is no gain");
  });

  it("counts what is on its way where it goes", () => {
    const pool = [worker("full", 4), worker("free", 4)];
    const tasks = filled("full", 4).map((task, index) => (index < 2 ? { ...task, yielding: true, to: "free" } : task));
    assert.deepEqual(movesOf(pool, tasks), []);
  });
});

describe("moves in random histories", () => {
  const histories = process.env["GUILD_TEST_FULL"] === "1" ? 500 : 10;
  const first = Number(process.env["GUILD_TEST_SEED"] ?? 1);

  it(`keep to what a worker has, and end when nothing changes any more (seeds ${first} to ${first + histories - 1})`, () => {
    for (let seed = first; seed < first + histories; seed += 1) simulate(seed);
  });
});

/**
 * Workers of random sizes, some of one machine, and tasks that cause a load of their own, which is what is measured, with noise. Tasks come and go for a
 * while, then nothing changes any more. Moves take their time, since a task leaves at its next step.
 */
function simulate(seed: number): void {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random.next() * n);
  const sizes = Array.from({ length: 2 + pick(6) }, () => 2 + pick(8));
  const views = sizes.map((_, index) => (random.chance(0.3) ? "shared" : `machine-${index}`));
  let tasks: MovableTask[] = [];
  const burden = new Map<string, number>();
  let skew: Skew = new Map();
  let moves = 0;
  let last = 0;
  const calm = 200_000;
  const end = calm + 2_400_000;
  for (let now = 0; now < end; now += 2_000) {
    if (now < calm && random.chance(0.3)) {
      const on = pick(sizes.length);
      const id = `x${now}`;
      const used = tasks.filter((task) => task.worker === `w${on}` || task.to === `w${on}`).length;
      if (used < (sizes[on] ?? 0)) tasks.push(running(id, `w${on}`, { since: now, movable: random.chance(0.8) }));
      burden.set(id, random.next() * 1.5);
    }
    if (now < calm && random.chance(0.1)) tasks = tasks.filter((_, index) => index !== pick(tasks.length));
    for (const task of tasks.filter(({ to }) => to !== undefined && random.chance(0.2))) {
      tasks = carried(tasks, [{ task: task.id, from: "", to: task.to ?? "", shares: { from: 0, to: 0 } }], now).map((one) =>
        one.id === task.id ? { ...one, to: undefined, yielding: false } : one,
      );
    }
    const cores = sizes.map((_, index) =>
      tasks.reduce((sum, task) => sum + (views[Number(task.worker.slice(1))] === views[index] ? (burden.get(task.id) ?? 0) : 0), 0),
    );
    const workers = sizes.map((size, index) => {
      const load = Math.min(0.95, ((cores[index] ?? 0) / size) * (0.95 + random.next() / 10));
      return worker(`w${index}`, size, { view: views[index] ?? "", load });
    });
    const before = tasks.length;
    const decision = rebalance(workers, tasks, POLICY, skew, now);
    skew = decision.skew;
    for (const move of decision.moves) {
      const task = tasks.find(({ id }) => id === move.task);
      assert.ok(task?.movable === true && !task.yielding && task.worker === move.from, `seed ${seed}: ${move.task} cannot be moved`);
      assert.notEqual(move.from, move.to);
      tasks = tasks.map((one) => (one === task ? { ...one, yielding: true, to: move.to } : one));
      if (now >= calm) [moves, last] = [moves + 1, now];
    }
    assert.ok(tasks.filter(({ to }) => to !== undefined).length <= POLICY.mostAtOnce, `seed ${seed}: too many at once`);
    assert.equal(new Set(tasks.map(({ id }) => id)).size, before, `seed ${seed}: one was lost or is there twice`);
    for (const [index, size] of sizes.entries()) {
      const given = tasks.filter((task) => task.worker === `w${index}` || task.to === `w${index}`).length;
      assert.ok(given <= size, `seed ${seed}: w${index} has given ${given} of ${size}`);
    }
  }
  assert.ok(moves <= 2 * tasks.length, `seed ${seed}: ${moves} moves of ${tasks.length} tasks while nothing changed`);
  assert.ok(last <= end - 600_000, `seed ${seed}: still moving ${(end - last) / 1_000} s before the end`);
}

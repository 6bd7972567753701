import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { decide, whyImpossible } from "./decide.ts";
import { TaskQueue } from "./task-queue.ts";
import type { Amounts, Needs, Policy, QueuedTask, RunningTask, Worker } from "./types.ts";

const NEEDS: Needs = { cpu: 1, memoryBytes: 1, diskBytes: 0, slots: 1, role: "", labels: {}, environmentKind: "" };
const POLICY: Policy = {
  weights: {},
  tenantLimits: {},
  groupLimits: {},
  preemptionGap: undefined,
  maxPlacements: 1_000,
};

function task(id: string, given: Partial<QueuedTask> = {}): QueuedTask {
  return { id, tenant: "t", groups: [], priority: 50, submitted: 0, needs: NEEDS, environment: "", workspace: "", ...given };
}

function worker(id: string, given: Partial<Worker> & { size?: number } = {}): Worker {
  const size = given.size ?? 4;
  const capacity = { cpu: size, memoryBytes: size, diskBytes: 100, slots: size };
  return { id, capacity, roles: new Set(), labels: {}, environmentKinds: new Set(), warm: new Set(), load: 0, draining: false, ...given };
}

function running(id: string, on: string, given: Partial<RunningTask> = {}): RunningTask {
  return { id, tenant: "t", groups: [], priority: 50, worker: on, needs: NEEDS, preemptible: true, yielding: false, ...given };
}

function queueOf(tasks: readonly QueuedTask[], ageingPerMinute = 1): TaskQueue {
  const queue = new TaskQueue(ageingPerMinute);
  for (const one of tasks) queue.add(one);
  return queue;
}

describe("decide", () => {
  it("places by priority, and lets waiting outweigh it", () => {
    const queue = queueOf([
      task("old", { priority: 10, submitted: 0 }),
      task("new", { priority: 50, submitted: 30 * 60_000 }),
      task("urgent", { priority: 90, submitted: 30 * 60_000 }),
    ]);
    const two = decide(queue, [worker("w", { size: 2 })], [], POLICY);
    assert.deepEqual(
      two.placements.map((placement) => placement.task),
      ["urgent", "new"],
    );
    const aged = queueOf([task("old", { priority: 10, submitted: 0 }), task("new", { priority: 50, submitted: 60 * 60_000 })]);
    assert.deepEqual(decide(aged, [worker("w", { size: 1 })], [], POLICY).placements, [{ task: "old", worker: "w" }]);
  });

  it("shares between tenants by weight, whatever their queues", () => {
    const tasks = Array.from({ length: 100 }, (_, index) => [
      task(`a${index}`, { tenant: "a" }),
      task(`b${index}`, { tenant: "b" }),
    ]).flat();
    const { placements } = decide(queueOf(tasks), [worker("w", { size: 40 })], [], { ...POLICY, weights: { a: 3 } });
    assert.equal(placements.length, 40);
    assert.equal(placements.filter((placement) => placement.task.startsWith("a")).length, 30);
  });

  it("spreads by room and measured load, and prefers what is warm", () => {
    const pool = [worker("busy", { load: 0.9 }), worker("idle"), worker("warm", { warm: new Set(["env"]), load: 0.3 })];
    assert.equal(decide(queueOf([task("x")]), pool, [], POLICY).placements[0]?.worker, "idle");
    assert.equal(decide(queueOf([task("x", { environment: "env" })]), pool, [], POLICY).placements[0]?.worker, "warm");
  });

  it("keeps tenant and group limits", () => {
    const tasks = Array.from({ length: 9 }, (_, index) => task(`x${index}`, { groups: index < 5 ? ["g"] : [] }));
    const limits = { ...POLICY, groupLimits: { g: { tasks: 2 } }, tenantLimits: { t: { tasks: 4 } } };
    const { placements } = decide(queueOf(tasks), [worker("w", { size: 20 })], [running("r", "w", { groups: ["g"] })], limits);
    assert.equal(placements.length, 3);
    assert.equal(placements.filter((placement) => Number(placement.task.slice(1)) < 5).length, 1);
  });

  it("lets nobody wait behind a task that fits nowhere", () => {
    const big = task("big", { priority: 100, needs: { ...NEEDS, cpu: 4 } });
    const { placements } = decide(queueOf([big, task("small")]), [worker("w")], [running("r", "w")], POLICY);
    assert.deepEqual(placements, [{ task: "small", worker: "w" }]);
  });

  it("asks the lowest task to yield, once", () => {
    const now = [running("low", "w", { priority: 5 }), running("mid", "w", { priority: 40 })];
    const policy = { ...POLICY, preemptionGap: 20 };
    const queue = queueOf([task("high", { priority: 80 })]);
    const pool = [worker("w", { size: 2 })];
    assert.deepEqual(decide(queue, pool, now, policy).preemptions, [{ victim: "low", worker: "w", for: "high" }]);
    const asked = now.map((one) => ({ ...one, yielding: one.id === "low" }));
    assert.deepEqual(decide(queue, pool, asked, policy), { placements: [], preemptions: [] });
    assert.deepEqual(
      decide(queueOf([task("peer", { priority: 59 })]), pool, [running("x", "w"), running("y", "w")], policy).preemptions,
      [],
    );
  });

  it("lets nobody make room for what it would go before again", () => {
    const queue = queueOf([task("high", { priority: 80, submitted: 100 * 60_000 })]);
    const low = (submitted: number) => [running("low", "w", { priority: 5, submitted })];
    const asked = (submitted: number) =>
      decide(queue, [worker("w", { size: 1 })], low(submitted), { ...POLICY, preemptionGap: 20 }).preemptions;
    assert.equal(asked(100 * 60_000).length, 1);
    assert.deepEqual(asked(20 * 60_000), [], "it has waited for eighty minutes");
  });

  it("gives a draining worker nothing", () => {
    assert.deepEqual(decide(queueOf([task("x")]), [worker("w", { draining: true })], [], POLICY).placements, []);
  });
});

describe("whyImpossible", () => {
  it("names the need that fails, and is silent when an idle worker would do", () => {
    const pool = [worker("a"), worker("b", { roles: new Set(["tester"]) })];
    assert.equal(whyImpossible({ ...NEEDS, cpu: 9 }, pool), "2 of 2 workers: has 4 CPUs of 9");
    assert.match(whyImpossible({ ...NEEDS, labels: { gpu: "yes" } }, pool) ?? "", /gpu=yes/);
    assert.equal(whyImpossible({ ...NEEDS, role: "reviewer" }, pool), undefined);
  });
});

/** Deterministic numbers in [0, 1): mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("random histories", () => {
  const histories = process.env["GUILD_TEST_FULL"] === "1" ? 5_000 : 150;
  const first = Number(process.env["GUILD_TEST_SEED"] ?? 1);

  it(`hold every invariant (seeds ${first} to ${first + histories - 1})`, () => {
    for (let seed = first; seed < first + histories; seed += 1) simulate(seed);
  });
});

/** Arrivals, ends, deaths and joins of workers over simulated time; every task must run to its end exactly once at a time. */
function simulate(seed: number): void {
  const next = random(seed);
  const pick = (n: number): number => Math.floor(next() * n);
  const policy: Policy = {
    weights: { a: 1 + pick(3), b: 1 },
    tenantLimits: next() < 0.3 ? { a: { tasks: 1 + pick(6) } } : {},
    groupLimits: { g: { tasks: 1 + pick(3), ...(next() < 0.5 ? { most: { cpu: 2 + pick(2) } } : {}) } },
    preemptionGap: next() < 0.5 ? 20 + pick(40) : undefined,
    maxPlacements: 1 + pick(50),
  };
  const queue = new TaskQueue(1 + pick(5));
  const all = new Map<string, QueuedTask>();
  const done = new Set<string>();
  let workers = Array.from({ length: 1 + pick(6) }, (_, index) => worker(`w${index}`, { size: 2 + pick(6), load: next() }));
  let active: Array<RunningTask & { ends: number }> = [];
  const wanted = 20 + pick(100);

  for (let round = 0; done.size < wanted; round += 1) {
    assert.ok(round < 20_000, `seed ${seed}: starved: ${[...all.keys()].filter((id) => !done.has(id)).join(" ")}`);
    const now = round * 1_000;
    while (all.size < wanted && next() < 0.6) {
      const one = task(`x${all.size}`, {
        tenant: next() < 0.8 ? "a" : "b",
        groups: next() < 0.2 ? ["g"] : [],
        priority: pick(101),
        submitted: now,
        needs: { ...NEEDS, cpu: 1 + pick(2), memoryBytes: 1 + pick(2) },
      });
      all.set(one.id, one);
      queue.add(one);
    }
    if (next() < 0.02 && workers.length > 1) {
      const dead = workers[pick(workers.length)]?.id;
      workers = workers.filter((one) => one.id !== dead);
      for (const lost of active.filter((one) => one.worker === dead)) queue.add(all.get(lost.id) ?? assert.fail());
      active = active.filter((one) => one.worker !== dead);
    }
    if (next() < 0.02) workers = [...workers, worker(`w${round}+`, { size: 2 + pick(6) })];
    for (const one of active.filter((each) => each.ends <= now)) done.add(one.id);
    for (const one of active.filter((each) => each.ends > now && each.yielding)) queue.add(all.get(one.id) ?? assert.fail());
    active = active.filter((one) => one.ends > now && !one.yielding);

    const decision = decide(queue, workers, active, policy);
    for (const { victim } of decision.preemptions) {
      const one = active.find((each) => each.id === victim);
      assert.ok(one !== undefined && !one.yielding, `seed ${seed}: ${victim} asked to yield twice or not running`);
      one.yielding = true;
    }
    for (const placement of decision.placements) {
      const one = queue.remove(placement.task);
      assert.ok(one !== undefined, `seed ${seed}: ${placement.task} placed twice`);
      const duration = 1_000 * (1 + pick(20));
      active.push({
        ...running(one.id, placement.worker),
        tenant: one.tenant,
        groups: one.groups,
        priority: one.priority,
        needs: one.needs,
        ends: now + duration,
      });
    }
    check(seed, workers, active, policy);
    assert.equal(queue.size + active.length + done.size, all.size, `seed ${seed}: a task was lost`);
  }
}

function check(seed: number, workers: readonly Worker[], active: readonly RunningTask[], policy: Policy): void {
  for (const one of workers) {
    const here = active.filter((each) => each.worker === one.id);
    for (const kind of ["cpu", "memoryBytes", "diskBytes", "slots"] satisfies Array<keyof Amounts>) {
      const used = here.reduce((total, each) => total + each.needs[kind], 0);
      assert.ok(used <= one.capacity[kind], `seed ${seed}: ${one.id} has given ${used} ${kind} of ${one.capacity[kind]}`);
    }
  }
  const group = active.filter((each) => each.groups.includes("g"));
  const cores = group.reduce((total, each) => total + each.needs.cpu, 0);
  assert.ok(cores <= (policy.groupLimits["g"]?.most?.cpu ?? Infinity), `seed ${seed}: the group has ${cores} cores`);
  assert.ok(group.length <= (policy.groupLimits["g"]?.tasks ?? Infinity), `seed ${seed}: group limit passed`);
  const tenant = active.filter((each) => each.tenant === "a").length;
  assert.ok(tenant <= (policy.tenantLimits["a"]?.tasks ?? Infinity), `seed ${seed}: tenant limit passed`);
  assert.equal(new Set(active.map((each) => each.id)).size, active.length, `seed ${seed}: a task runs twice`);
}

import {
  decide,
  type MovableTask,
  rebalance,
  TaskQueue,
  type Policy,
  type QueuedTask,
  type RunningTask,
  type Worker,
} from "@guildhall/orchestrator";
import TinyQueue from "tinyqueue";

import { percentile, table } from "./table.ts";

const TASKS = 10_000;
const WORKERS = 100;
const ROUNDS = 300;
/** Until V8 has compiled what a scheduler runs all day. */
const WARM_UP = 60;

const policy: Policy = { weights: {}, tenantLimits: {}, groupLimits: {}, preemptionGap: 30, maxPlacements: 200 };

/** A decision over 10,000 waiting tasks and 100 workers: few kinds of tasks, and every task a kind of its own. */
for (const kinds of [20, TASKS]) {
  const queue = new TaskQueue(1);
  for (let index = 0; index < TASKS; index += 1) queue.add(task(index, index % kinds));
  const workers = Array.from({ length: WORKERS }, (_, index) => worker(index));
  const times: number[] = [];
  // On a machine that others use too, what a decision takes is mostly waiting for a processor.
  const processor: number[] = [];
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    const before = process.cpuUsage();
    const start = performance.now();
    const { placements } = decide(queue, workers, [], policy);
    if (round >= 0) {
      times.push(performance.now() - start);
      const { user, system } = process.cpuUsage(before);
      processor.push((user + system) / 1_000);
    }
    if (placements.length !== policy.maxPlacements) throw new Error(`${placements.length} placements`);
  }
  const figures = [50, 99].map((p) => ({
    name: `decision p${p}`,
    value: percentile(times, p),
    unit: "ms",
    goal: p === 99 ? "≤ 5 ms" : "",
  }));
  figures.push({ name: "decision p99, of a processor", value: percentile(processor, 99), unit: "ms", goal: "≤ 5 ms" });
  console.log(table(`Scheduler: ${TASKS} tasks of ${kinds} kinds, ${WORKERS} workers, 200 placements`, figures));
}

/**
 * Eight simulated seconds of 10,000 workers: tasks of 5 to 60 virtual seconds come as fast as all slots together take them, a decision is made every
 * virtual half second, and nothing else is.
 */
{
  const many = 10_000;
  const wide = { ...policy, maxPlacements: 4_000 };
  const queue = new TaskQueue(1);
  const workers = Array.from({ length: many }, (_, index) => worker(index));
  const running = new Map<string, RunningTask>();
  const ends = new TinyQueue<{ at: number; id: string }>([], (x, y) => x.at - y.at);
  const times: number[] = [];
  const waited: number[] = [];
  let next = 0;
  let random = 1;
  for (let now = 0; now < 8_000; now += 500) {
    for (let ended = ends.peek(); ended !== undefined && ended.at <= now; ended = ends.peek()) running.delete(ends.pop()?.id ?? "");
    for (let index = 0; index < 1_000; index += 1, next += 1) queue.add({ ...task(next, next % 20), submitted: now });
    const start = performance.now();
    const { placements } = decide(queue, workers, [...running.values()], wide);
    times.push(performance.now() - start);
    for (const { task: id, worker: at } of placements) {
      const placed = queue.remove(id);
      if (placed === undefined) continue;
      random = (random * 48_271) % 2_147_483_647;
      ends.push({ at: now + 5_000 + (random % 55_000), id });
      waited.push(now - placed.submitted);
      const { tenant, groups, priority, needs } = placed;
      running.set(id, { id, tenant, groups, priority, needs, worker: at, preemptible: true, yielding: false });
    }
  }
  console.log(
    table(`Simulation: ${many} workers, 2,000 tasks a second`, [
      { name: "decision p50, 1,000 placements", value: percentile(times, 50), unit: "ms" },
      { name: "decision p99", value: percentile(times, 99), unit: "ms" },
      { name: "tasks placed", value: waited.length, unit: "" },
      { name: "left waiting at the end", value: queue.size, unit: "" },
      { name: "virtual wait p99", value: percentile(waited, 99), unit: "ms" },
      { name: "decisions' share of one core", value: (100 * times.reduce((sum, time) => sum + time, 0)) / 8_000, unit: "%" },
    ]),
  );
}

/** Half of the workers full, the other half empty, all sessions old enough: what is asked once a second, not with each placement. */
for (const many of [WORKERS, 10_000]) {
  const workers = Array.from({ length: many }, (_, index) => worker(index));
  const running = workers.flatMap(({ id }, at) =>
    Array.from({ length: at % 2 === 0 ? 8 : 0 }, (_, slot): MovableTask => {
      const { tenant, groups, priority, needs } = task(at, 0);
      const own = { id: `${id}-${slot}`, tenant, groups, priority, needs, worker: id, preemptible: true, yielding: false };
      return { ...own, since: 0, moves: 0, movable: true, reach: "" };
    }),
  );
  const moving = { crowded: 0.75, skew: 0.5, settled: 0.125, patienceMs: 15_000, minimumStayMs: 30_000, mostAtOnce: 2 };
  const since = new Map(workers.map(({ id }) => [id, 0]));
  const processor: number[] = [];
  for (let round = -3; round < 20; round += 1) {
    const before = process.cpuUsage();
    rebalance(workers, running, moving, since, 60_000);
    const { user, system } = process.cpuUsage(before);
    if (round >= 0) processor.push((user + system) / 1_000);
  }
  const figures = [50, 99].map((p) => ({ name: `p${p}, of a processor`, value: percentile(processor, p), unit: "ms" }));
  console.log(table(`What moves: ${many} workers, ${running.length} sessions at work`, figures));
}

function task(index: number, kind: number): QueuedTask {
  const needs = { cpu: 1, memoryBytes: 1_000_000 + kind, diskBytes: 0, slots: 1, role: "", labels: {}, environmentKind: "" };
  return {
    id: `task-${index}`,
    tenant: `tenant-${index % 7}`,
    groups: [],
    priority: index % 101,
    submitted: index,
    needs,
    environment: `env-${index % 50}`,
    workspace: "",
  };
}

function worker(index: number): Worker {
  const capacity = { cpu: 8, memoryBytes: 16e9, diskBytes: 100e9, slots: 8 };
  return {
    id: `worker-${index}`,
    capacity,
    roles: new Set(),
    labels: {},
    environmentKinds: new Set(),
    warm: new Set([`env-${index}`]),
    load: (index % 10) / 10,
    draining: false,
  };
}

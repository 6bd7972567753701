import { decide, TaskQueue, type Policy, type QueuedTask, type Worker } from "@guildhall/orchestrator";

import { percentile, table } from "./table.ts";

const TASKS = 10_000;
const WORKERS = 100;
const ROUNDS = 300;

const policy: Policy = { weights: {}, tenantLimits: {}, groupLimits: {}, ageingPerMinute: 1, preemptionGap: 30, maxPlacements: 200 };

/** A decision over 10,000 waiting tasks and 100 workers: few kinds of tasks, and every task a kind of its own. */
for (const kinds of [20, TASKS]) {
  const queue = new TaskQueue(policy.ageingPerMinute);
  for (let index = 0; index < TASKS; index += 1) queue.add(task(index, index % kinds));
  const workers = Array.from({ length: WORKERS }, (_, index) => worker(index));
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    const { placements } = decide(queue, workers, [], policy);
    times.push(performance.now() - start);
    if (placements.length !== policy.maxPlacements) throw new Error(`${placements.length} placements`);
  }
  const figures = [50, 99].map((p) => ({
    name: `decision p${p}`,
    value: percentile(times, p),
    unit: "ms",
    goal: p === 99 ? "≤ 5 ms" : "",
  }));
  console.log(table(`Scheduler: ${TASKS} tasks of ${kinds} kinds, ${WORKERS} workers, 200 placements`, figures));
}

function task(index: number, kind: number): QueuedTask {
  const needs = { cpu: 1, memoryBytes: 1_000_000 + kind, diskBytes: 0, slots: 1, role: "", labels: {}, environmentKind: "" };
  return {
    id: `task-${index}`,
    tenant: `tenant-${index % 7}`,
    group: "",
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

import TinyQueue from "tinyqueue";

import { give, misfit, shortage, take } from "./fit.ts";
import { GroupUse } from "./group-use.ts";
import { type Room, Rooms } from "./rooms.ts";
import type { Bucket, TaskQueue } from "./task-queue.ts";
import type { Amounts, Decision, Needs, Placement, Policy, Preemption, QueuedTask, RunningTask, Worker } from "./types.ts";

/**
 * Which waiting task goes to which worker now. Pure: the same queue, pool, running tasks and policy give the same decision.
 *
 * The tenant whose dominant share (Ghodsi et al. 2011, DRF) over its weight is lowest goes first; within a tenant the task of the highest
 * rank, which is priority plus ageing. A task goes to the fitting worker with the most room left, where a warm environment or workspace
 * counts as much as half an idle worker. Promises: no worker is given more than it has, no limit is passed, and a task that fits nowhere now
 * holds up nobody but the later ones of its own kind.
 *
 * Cost grows with the kinds of tasks (tenant, groups and needs), not with their number, and with the workers once a kind.
 */
export function decide(queue: TaskQueue, workers: readonly Worker[], running: readonly RunningTask[], policy: Policy): Decision {
  const rooms = new Rooms(workers, running);
  const tenants = openTenants(queue, workers, running, policy);
  const groups = new GroupUse(policy, running);
  const placements: Placement[] = [];
  const preemptions: Preemption[] = [];
  const asked = new Set<string>();

  const order = new TinyQueue([...tenants.values()], (x, y) => x.share - y.share || (x.id < y.id ? -1 : 1));
  while (order.length > 0 && placements.length < policy.maxPlacements) {
    const tenant = order.pop();
    const head = tenant === undefined ? undefined : nextHead(queue, tenant);
    if (tenant === undefined || head === undefined) continue;
    const task = head.bucket.tasks.at(-1 - head.taken);
    if (task === undefined || tenant.running >= tenant.limit) continue;

    if (groups.admit(task)) {
      const room = rooms.best(head.bucket, task);
      if (room !== undefined) {
        take(room.free, task.needs);
        placements.push({ task: task.id, worker: room.worker.id });
        groups.add(task);
        tenant.running += 1;
        tenant.share += dominantShare(task.needs, tenant.total) / tenant.weight;
        if (head.taken + 1 < head.bucket.tasks.length) tenant.again.push({ bucket: head.bucket, taken: head.taken + 1 });
      } else if (policy.preemptionGap !== undefined) {
        preemptions.push(...makeRoom(task, queue, rooms.all, running, policy.preemptionGap, asked));
      }
    }
    if (tenant.again.length > 0 || tenant.left > 0) order.push(tenant);
  }
  return { placements, preemptions };
}

/** Why no worker of the pool, idle as it may be, can ever take such a task; undefined when one can. */
export function whyImpossible(needs: Needs, workers: readonly Worker[]): string | undefined {
  const reasons = workers.map((worker) => misfit(needs, worker) ?? shortage(needs, worker.capacity));
  if (reasons.includes(undefined)) return undefined;
  if (reasons.length === 0) return "the pool has no workers";
  const counts = countBy(reasons, (reason) => reason ?? "");
  const [reason, count] = [...counts].toSorted((x, y) => y[1] - x[1])[0] ?? ["", 0];
  return `${count} of ${workers.length} workers: ${reason}`;
}

interface Head {
  bucket: Bucket;
  /** Tasks of the bucket that this decision has placed already. */
  taken: number;
}

interface Tenant {
  id: string;
  weight: number;
  limit: number;
  running: number;
  /** Dominant share over weight. */
  share: number;
  total: Amounts;
  /** Its buckets, best last, and how many of them this decision has not looked at. */
  buckets: readonly Bucket[];
  left: number;
  /** Those of which it has taken something. */
  again: TinyQueue<Head>;
}

/** The best of what a tenant has waiting: of buckets not looked at, or of those that something was taken of. */
function nextHead(queue: TaskQueue, tenant: Tenant): Head | undefined {
  const bucket = tenant.buckets[tenant.left - 1];
  const fresh = bucket?.tasks.at(-1);
  const seen = tenant.again.peek();
  const other = seen?.bucket.tasks.at(-1 - seen.taken);
  if (other !== undefined && (fresh === undefined || queue.goesBefore(other, fresh))) return tenant.again.pop();
  if (bucket === undefined) return undefined;
  tenant.left -= 1;
  return { bucket, taken: 0 };
}

function openTenants(queue: TaskQueue, workers: readonly Worker[], running: readonly RunningTask[], policy: Policy): Map<string, Tenant> {
  const total = sum(workers.map((worker) => worker.capacity));
  const tasks = Map.groupBy(running, (task) => task.tenant);
  const tenants = new Map<string, Tenant>();
  for (const [id, buckets] of queue.tenants()) {
    const current = tasks.get(id) ?? [];
    const weight = policy.weights[id] ?? 1;
    const again = new TinyQueue<Head>([], (x, y) => {
      const [first, second] = [x.bucket.tasks.at(-1 - x.taken), y.bucket.tasks.at(-1 - y.taken)];
      return first !== undefined && second !== undefined && queue.goesBefore(first, second) ? -1 : 1;
    });
    const share = dominantShare(sum(current.map((task) => task.needs)), total) / weight;
    const limit = policy.tenantLimits[id]?.tasks ?? Infinity;
    tenants.set(id, { id, weight, limit, running: current.length, share, total, buckets, left: buckets.length, again });
  }
  return tenants;
}

/**
 * The least disturbing victims on one worker, of those at least `gap` below the task; none when that is no use. What would go before the task when
 * both wait, because it has waited long, is no victim: it would be placed where it was.
 */
function makeRoom(
  task: QueuedTask,
  queue: TaskQueue,
  rooms: readonly Room[],
  running: readonly RunningTask[],
  gap: number,
  asked: Set<string>,
): Preemption[] {
  let best: RunningTask[] | undefined;
  for (const { worker, free } of rooms) {
    if (misfit(task.needs, worker) !== undefined) continue;
    const room = { ...free };
    const here = running.filter((other) => other.worker === worker.id);
    for (const other of here) if (other.yielding || asked.has(other.id)) give(room, other.needs);
    if (shortage(task.needs, room) === undefined) return [];
    const victims: RunningTask[] = [];
    const candidates = here.filter(
      (other) =>
        other.preemptible &&
        !other.yielding &&
        !asked.has(other.id) &&
        other.priority + gap <= task.priority &&
        (other.submitted === undefined || queue.rank({ priority: other.priority, submitted: other.submitted }) < queue.rank(task)),
    );
    for (const victim of candidates.toSorted((x, y) => x.priority - y.priority)) {
      give(room, victim.needs);
      victims.push(victim);
      if (shortage(task.needs, room) === undefined) break;
    }
    if (shortage(task.needs, room) === undefined && (best === undefined || disturbs(victims) < disturbs(best))) best = victims;
  }
  for (const victim of best ?? []) asked.add(victim.id);
  return (best ?? []).map((victim) => ({ victim: victim.id, worker: victim.worker, for: task.id }));
}

function disturbs(victims: readonly RunningTask[]): number {
  return victims.reduce((total, victim) => total + 1 + victim.priority / 100, 0);
}

function dominantShare(amounts: Amounts, total: Amounts): number {
  const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
  return Math.max(share(amounts.cpu, total.cpu), share(amounts.memoryBytes, total.memoryBytes), share(amounts.slots, total.slots));
}

function sum(amounts: readonly Amounts[]): Amounts {
  const total: Amounts = { cpu: 0, memoryBytes: 0, diskBytes: 0, slots: 0 };
  for (const one of amounts) give(total, one);
  return total;
}

function countBy<T>(values: readonly T[], key: (value: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(key(value), (counts.get(key(value)) ?? 0) + 1);
  return counts;
}

import type { Needs, QueuedTask } from "./types.ts";

/** Waiting tasks of one tenant that ask for the same, best first. */
export interface Bucket {
  tenant: string;
  groups: readonly string[];
  needs: Needs;
  /** Sorted: the next one last, so that taking it is a pop. */
  tasks: QueuedTask[];
}

/**
 * The waiting tasks, in buckets of equal tenant, group and needs, so that a decision looks at kinds of tasks and not at each of ten thousand.
 *
 * Ageing is linear and the same for all, so that the order between two tasks never changes with time: a task's rank is its priority less
 * the points that later submission costs it. The order is therefore kept, not computed at each decision.
 */
export class TaskQueue {
  readonly #buckets = new Map<string, Bucket>();
  /** Each tenant's buckets by the rank of their best task, best last. */
  readonly #tenants = new Map<string, Bucket[]>();
  readonly #waiting = new Map<string, { task: QueuedTask; bucket: Bucket; key: string }>();
  readonly #ageingPerMs: number;

  constructor(ageingPerMinute: number) {
    this.#ageingPerMs = ageingPerMinute / 60_000;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Higher goes first, now and at any later time. */
  rank({ priority, submitted }: Pick<QueuedTask, "priority" | "submitted">): number {
    return priority - submitted * this.#ageingPerMs;
  }

  has(id: string): boolean {
    return this.#waiting.has(id);
  }

  /** Adding an id that waits already replaces it. */
  add(task: QueuedTask): void {
    this.remove(task.id);
    const key = bucketKey(task);
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { tenant: task.tenant, groups: task.groups, needs: task.needs, tasks: [] };
      this.#buckets.set(key, bucket);
    }
    this.#change(bucket, (tasks) =>
      tasks.splice(
        position(tasks, (other) => this.goesBefore(task, other)),
        0,
        task,
      ),
    );
    this.#waiting.set(task.id, { task, bucket, key });
  }

  remove(id: string): QueuedTask | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(id);
    const { task, bucket, key } = waiting;
    this.#change(bucket, (tasks) =>
      tasks.splice(
        position(tasks, (other) => this.goesBefore(task, other)),
        1,
      ),
    );
    if (bucket.tasks.length === 0) this.#buckets.delete(key);
    return task;
  }

  /** Each tenant's buckets, none of them empty: that with the best task last. */
  tenants(): ReadonlyMap<string, readonly Bucket[]> {
    return this.#tenants;
  }

  /** Whether `x` is to go before `y`: by rank, then age, then id. A total order that time does not change. */
  goesBefore(x: QueuedTask, y: QueuedTask): boolean {
    const difference = this.rank(x) - this.rank(y);
    if (difference !== 0) return difference > 0;
    if (x.submitted !== y.submitted) return x.submitted < y.submitted;
    return x.id < y.id;
  }

  /** Lets `by` change a bucket's tasks, and puts the bucket where it then belongs among its tenant's. */
  #change(bucket: Bucket, by: (tasks: QueuedTask[]) => void): void {
    const { tenant, tasks } = bucket;
    const before = tasks.at(-1);
    by(tasks);
    const after = tasks.at(-1);
    if (before === after) return;
    const others = this.#tenants.get(tenant) ?? [];
    this.#tenants.set(tenant, others);
    if (before !== undefined) {
      // Its own place is found by the task that stood at its head; a bucket without a head is the one looked for.
      const own = position(others, (other) => other !== bucket && this.#leads(before, other));
      others.splice(own, 1);
    }
    if (after !== undefined)
      others.splice(
        position(others, (other) => this.#leads(after, other)),
        0,
        bucket,
      );
    if (others.length === 0) this.#tenants.delete(tenant);
  }

  /** Whether `task` is to go before the best of another bucket. */
  #leads(task: QueuedTask, other: Bucket): boolean {
    const head = other.tasks.at(-1);
    return head === undefined || this.goesBefore(task, head);
  }
}

/** How many of a sorted list's first items `leads` holds for. */
function position<T>(items: readonly T[], leads: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && leads(item)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function bucketKey(task: QueuedTask): string {
  const { cpu, memoryBytes, diskBytes, slots, role, labels, environmentKind } = task.needs;
  const sorted = Object.entries(labels).toSorted(([x], [y]) => (x < y ? -1 : 1));
  return JSON.stringify([task.tenant, task.groups, cpu, memoryBytes, diskBytes, slots, role, environmentKind, sorted]);
}

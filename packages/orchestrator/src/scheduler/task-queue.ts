import type { Needs, QueuedTask } from "./types.ts";

/** Waiting tasks of one tenant that ask for the same, best first. */
export interface Bucket {
  tenant: string;
  group: string;
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
  readonly #waiting = new Map<string, { task: QueuedTask; bucket: Bucket; key: string }>();
  readonly #ageingPerMs: number;

  constructor(ageingPerMinute: number) {
    this.#ageingPerMs = ageingPerMinute / 60_000;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Higher goes first, now and at any later time. */
  rank(task: QueuedTask): number {
    return task.priority - task.submitted * this.#ageingPerMs;
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
      bucket = { tenant: task.tenant, group: task.group, needs: task.needs, tasks: [] };
      this.#buckets.set(key, bucket);
    }
    bucket.tasks.splice(this.#position(bucket.tasks, task), 0, task);
    this.#waiting.set(task.id, { task, bucket, key });
  }

  remove(id: string): QueuedTask | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(id);
    const { task, bucket, key } = waiting;
    bucket.tasks.splice(this.#position(bucket.tasks, task), 1);
    if (bucket.tasks.length === 0) this.#buckets.delete(key);
    return task;
  }

  /** Never an empty one. */
  buckets(): Iterable<Bucket> {
    return this.#buckets.values();
  }

  /** Whether `x` is to go before `y`: by rank, then age, then id. A total order that time does not change. */
  goesBefore(x: QueuedTask, y: QueuedTask): boolean {
    const difference = this.rank(x) - this.rank(y);
    if (difference !== 0) return difference > 0;
    if (x.submitted !== y.submitted) return x.submitted < y.submitted;
    return x.id < y.id;
  }

  /** Index at which `task` stands or would stand. */
  #position(tasks: readonly QueuedTask[], task: QueuedTask): number {
    let low = 0;
    let high = tasks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = tasks[middle];
      if (other !== undefined && this.goesBefore(task, other)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function bucketKey(task: QueuedTask): string {
  const { cpu, memoryBytes, diskBytes, slots, role, labels, environmentKind } = task.needs;
  const sorted = Object.entries(labels).toSorted(([x], [y]) => (x < y ? -1 : 1));
  return JSON.stringify([task.tenant, task.group, cpu, memoryBytes, diskBytes, slots, role, environmentKind, sorted]);
}

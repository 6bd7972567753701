import { type RunningTask, TaskQueue } from "@guildhall/orchestrator";

import type { TaskRecord } from "../storage/task-store.ts";
import { asQueued, asRunning, type Running } from "./running-task.ts";
import { sharedPath } from "./task-terms.ts";

/** What an orchestrator knows of the tasks that are to be placed or have been: a copy of their rows. */
export class TaskBoard {
  /** In the order in which they are to be placed; of the same tasks as {@link waiting}. */
  readonly queue: TaskQueue;
  readonly #waiting = new Map<string, TaskRecord>();
  readonly #running = new Map<string, Running>();
  readonly #busy: () => () => void;
  readonly #now: () => number;
  /** Milliseconds that tasks were worked on: they age while they wait. */
  readonly #worked = new Map<string, number>();
  #rest: (() => void) | undefined;

  /** `busy`: called when there are tasks; what it returns is called when there are none. `now`: monotonic milliseconds. */
  constructor(busy: () => () => void, { now, ageingPerMinute }: { now: () => number; ageingPerMinute: number }) {
    this.queue = new TaskQueue(ageingPerMinute);
    this.#busy = busy;
    this.#now = now;
  }

  get waiting(): ReadonlyMap<string, TaskRecord> {
    return this.#waiting;
  }

  get running(): ReadonlyMap<string, Running> {
    return this.#running;
  }

  /** Those that wait and those that run. */
  get all(): TaskRecord[] {
    return [...this.#waiting.values(), ...[...this.#running.values()].map(({ task }) => task)];
  }

  /** It is to be placed, perhaps once more. */
  enqueue(task: TaskRecord): void {
    const worked = this.#workedUntilNow(task.id);
    this.#running.delete(task.id);
    this.#waiting.set(task.id, task);
    if (worked > 0) this.#worked.set(task.id, worked);
    this.queue.add(asQueued(task, worked));
    this.breathe();
  }

  /** It is not to be placed. */
  dequeue(id: string): void {
    this.#waiting.delete(id);
    this.#worked.delete(id);
    this.queue.remove(id);
    this.breathe();
  }

  /** A worker has it. */
  run(task: TaskRecord, member: string): void {
    this.#waiting.delete(task.id);
    this.queue.remove(task.id);
    const worked = this.#workedUntilNow(task.id);
    if (worked > 0) this.#worked.set(task.id, worked);
    this.#running.set(task.id, { task, member, yielding: false, since: this.#now() });
  }

  /** As the scheduler sees those that run. */
  asRunning(): RunningTask[] {
    return [...this.#running.values()].map((one) => asRunning(one, this.#workedUntilNow(one.task.id)));
  }

  #workedUntilNow(id: string): number {
    const running = this.#running.get(id);
    return (this.#worked.get(id) ?? 0) + (running === undefined ? 0 : this.#now() - running.since);
  }

  /** No worker has it, as far as we know; it may be to be placed again. */
  forget(id: string): void {
    const worked = this.#workedUntilNow(id);
    if (this.#running.delete(id) && worked > 0) this.#worked.set(id, worked);
    this.breathe();
  }

  /** It is over, or another orchestrator's. */
  ended(id: string): void {
    this.forget(id);
    this.#worked.delete(id);
  }

  /** Tasks that a worker works on. */
  of(member: string): TaskRecord[] {
    return this.runningOf(member).map(({ task }) => task);
  }

  /** The same, with where each stands. */
  runningOf(member: string): Running[] {
    return [...this.#running.values()].filter((running) => running.member === member);
  }

  /** What a worker speaks of: undefined where it was given to somebody else since. */
  runningAs({ taskId, epoch }: { taskId: string; epoch: number }): Running | undefined {
    const running = this.#running.get(taskId);
    return running?.task.epoch === epoch ? running : undefined;
  }

  /** Running or waiting. */
  ofSession(session: string): TaskRecord | undefined {
    for (const { task } of this.#running.values()) if (task.session === session) return task;
    for (const task of this.#waiting.values()) if (task.session === session) return task;
    return undefined;
  }

  /** The worker that has the session. */
  workerOf(session: string): string | undefined {
    for (const { task, member } of this.#running.values()) if (task.session === session) return member;
    return undefined;
  }

  /** The task that works in a directory. */
  at(path: string): TaskRecord | undefined {
    for (const { task } of this.#running.values()) if (sharedPath(task.spec) === path) return task;
    return undefined;
  }

  /** Lets go of the process when nothing is left. */
  breathe(): void {
    if (this.#waiting.size + this.#running.size > 0) this.#rest ??= this.#busy();
    else this.close();
  }

  close(): void {
    this.#rest?.();
    this.#rest = undefined;
  }
}

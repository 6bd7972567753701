import { GuildError } from "@guildhall/core";

/** What a task does when one that it depends on did not succeed. */
export type FailurePolicy =
  /** It fails too. */
  | "fail"
  /** It is skipped, which counts as an end without success for those that depend on it. */
  | "skip"
  /** It runs all the same. */
  | "continue";

export interface Dependency {
  /** The task that must end first. */
  on: string;
  onFailure: FailurePolicy;
}

export interface GraphTask {
  id: string;
  dependencies: readonly Dependency[];
}

export type TaskState = "waiting" | "ready" | "running" | "succeeded" | "failed" | "skipped" | "cancelled";

/** A change of state that follows from another; in the order in which it came about. */
export interface StateChange {
  task: string;
  state: TaskState;
  reason: string;
}

/** Largest graph that is taken: more is a mistake of the caller's. */
export const MAX_GRAPH_TASKS = 5_000;

/**
 * Throws `invalid_argument` naming the cycle, the missing task, the doubled id or the size; a graph that passes can always be run to its end.
 */
export function validateGraph(tasks: readonly GraphTask[]): void {
  if (tasks.length > MAX_GRAPH_TASKS) {
    throw new GuildError("invalid_argument", `a graph of ${tasks.length} tasks is too large`, {
      remedy: `split it into graphs of at most ${MAX_GRAPH_TASKS}`,
    });
  }
  const byId = new Map<string, GraphTask>();
  for (const task of tasks) {
    if (byId.has(task.id)) throw new GuildError("invalid_argument", "two tasks of the graph have the same id", { subject: task.id });
    byId.set(task.id, task);
  }
  for (const task of tasks) {
    const missing = task.dependencies.find((dependency) => !byId.has(dependency.on));
    if (missing !== undefined)
      throw new GuildError("invalid_argument", `task ${task.id} depends on ${missing.on}, which the graph does not have`);
  }
  const cycle = findCycle(byId);
  if (cycle !== undefined) {
    throw new GuildError("invalid_argument", `the tasks depend on each other in a circle: ${cycle.join(" → ")}`, {
      remedy: "take one of these dependencies out",
    });
  }
}

/**
 * The states of a graph's tasks, moved on only through `start`, `end` and `cancel`. Every call returns the changes that follow, the
 * asked-for one first, so that the caller can store them in one transaction.
 */
export class GraphRun {
  readonly #tasks: ReadonlyMap<string, GraphTask>;
  readonly #dependents: ReadonlyMap<string, readonly string[]>;
  readonly #states: Map<string, TaskState>;

  /** `states`: those stored before; a task without one waits. Call `advance` to find what is ready. */
  constructor(tasks: readonly GraphTask[], states: ReadonlyMap<string, TaskState> = new Map()) {
    validateGraph(tasks);
    this.#tasks = new Map(tasks.map((task) => [task.id, task]));
    const dependents = new Map<string, string[]>(tasks.map((task) => [task.id, []]));
    for (const task of tasks) for (const { on } of task.dependencies) dependents.get(on)?.push(task.id);
    this.#dependents = dependents;
    this.#states = new Map(tasks.map((task) => [task.id, states.get(task.id) ?? "waiting"]));
  }

  state(id: string): TaskState {
    const state = this.#states.get(id);
    if (state === undefined) throw new GuildError("not_found", `the graph has no task ${id}`);
    return state;
  }

  get finished(): boolean {
    return [...this.#states.values()].every(isEnd);
  }

  /** Settles every waiting task whose dependencies have all ended. */
  advance(): StateChange[] {
    return this.#settle([...this.#tasks.keys()]);
  }

  /** Throws `failed_precondition` unless the task is ready. */
  start(id: string): StateChange[] {
    if (this.state(id) !== "ready") throw new GuildError("failed_precondition", `task ${id} is ${this.state(id)}, not ready`);
    return [this.#set(id, "running", "started")];
  }

  /** Throws `failed_precondition` unless the task runs. */
  end(id: string, succeeded: boolean, reason: string): StateChange[] {
    if (this.state(id) !== "running") throw new GuildError("failed_precondition", `task ${id} is ${this.state(id)}, not running`);
    return [this.#set(id, succeeded ? "succeeded" : "failed", reason), ...this.#settle(this.#dependents.get(id) ?? [])];
  }

  /** Cancels the task and everything that depends on it, directly or not, and has not ended. Running ones are the caller's to stop. */
  cancel(id: string): StateChange[] {
    const changes: StateChange[] = [];
    const open = [id];
    const seen = new Set<string>();
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...(this.#dependents.get(next) ?? []));
      if (!isEnd(this.state(next)))
        changes.push(this.#set(next, "cancelled", next === id ? "cancelled" : `depends on ${id}, which was cancelled`));
    }
    return changes;
  }

  #settle(candidates: readonly string[]): StateChange[] {
    const changes: StateChange[] = [];
    const open = [...candidates];
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      if (this.state(next) !== "waiting") continue;
      const change = this.#verdict(this.#tasks.get(next)?.dependencies ?? []);
      if (change === undefined) continue;
      changes.push(this.#set(next, change.state, change.reason));
      if (isEnd(change.state)) open.push(...(this.#dependents.get(next) ?? []));
    }
    return changes;
  }

  /** What follows from the dependencies; undefined while it is open. A failure counts as soon as it is known. */
  #verdict(dependencies: readonly Dependency[]): { state: TaskState; reason: string } | undefined {
    let open = false;
    let skip: string | undefined;
    for (const { on, onFailure } of dependencies) {
      const state = this.state(on);
      if (!isEnd(state)) open = true;
      else if (state === "succeeded" || onFailure === "continue") continue;
      else if (onFailure === "fail") return { state: "failed", reason: `depends on ${on}, which ended as ${state}` };
      else skip = `depends on ${on}, which ended as ${state}`;
    }
    if (skip !== undefined) return { state: "skipped", reason: skip };
    return open ? undefined : { state: "ready", reason: "all dependencies have ended" };
  }

  #set(task: string, state: TaskState, reason: string): StateChange {
    this.#states.set(task, state);
    return { task, state, reason };
  }
}

function isEnd(state: TaskState): boolean {
  return state === "succeeded" || state === "failed" || state === "skipped" || state === "cancelled";
}

/** A cycle as the ids along it, first repeated at the end. Iterative: depth is the graph's, not the stack's. */
function findCycle(tasks: ReadonlyMap<string, GraphTask>): string[] | undefined {
  const done = new Set<string>();
  for (const start of tasks.keys()) {
    const path: Array<{ id: string; next: number }> = done.has(start) ? [] : [{ id: start, next: 0 }];
    const onPath = new Set(path.map((step) => step.id));
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const on = tasks.get(top.id)?.dependencies[top.next]?.on;
      top.next += 1;
      if (on === undefined) {
        path.pop();
        onPath.delete(top.id);
        done.add(top.id);
      } else if (onPath.has(on)) {
        return [...path.map((step) => step.id).slice(path.findIndex((step) => step.id === on)), on];
      } else if (!done.has(on)) {
        path.push({ id: on, next: 0 });
        onPath.add(on);
      }
    }
  }
  return undefined;
}

import { GraphRun, type StateChange } from "@guildhall/orchestrator";
import { TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import { asGraph, asGraphState, fromGraphState } from "./task-terms.ts";

/** What follows for the tasks of a graph when one of them ends or is cancelled, brought into their rows. */
export class GraphKeeper {
  readonly #tenant: string;
  readonly #store: TaskStore;

  constructor(tenant: string, store: TaskStore) {
    this.#tenant = tenant;
    this.#store = store;
  }

  /** Settles what waited for tasks that have ended; returns the rows that changed. */
  async advance(graph: string): Promise<TaskRecord[]> {
    return await this.#follow(await this.#store.ofGraph(this.#tenant, graph), [TaskState.WAITING], (run) => run.advance());
  }

  /** The same for every graph of tasks that wait: whoever saw the last task of theirs end may have died before it could say what follows. */
  async advanceAll(open: readonly TaskRecord[]): Promise<TaskRecord[]> {
    const graphs = new Set(open.flatMap(({ state, graph }) => (state === TaskState.WAITING ? [graph] : [])));
    const changed: TaskRecord[] = [];
    for (const graph of graphs) changed.push(...(await this.advance(graph)));
    return changed;
  }

  /** Cancels a task and all that depend on it and have not ended. */
  async cancel(task: TaskRecord): Promise<TaskRecord[]> {
    const open = [TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING, TaskState.HELD];
    return await this.#follow(await this.#store.ofGraph(this.#tenant, task.graph), open, (run) => run.cancel(task.spec.name));
  }

  async #follow(rows: TaskRecord[], from: TaskState[], move: (run: GraphRun) => StateChange[]): Promise<TaskRecord[]> {
    if (rows.length === 0) return [];
    const ids = new Map(rows.map(({ spec, id }) => [spec.name, id]));
    const run = new GraphRun(
      asGraph(rows.map(({ spec }) => spec)),
      new Map(rows.map(({ spec, state }) => [spec.name, asGraphState(state)])),
    );
    const changes = move(run).flatMap(({ task, state, reason }) => {
      const id = ids.get(task);
      return id === undefined ? [] : [{ id, from, to: fromGraphState(state), reason }];
    });
    return changes.length === 0 ? [] : await this.#store.change(this.#tenant, changes);
  }
}

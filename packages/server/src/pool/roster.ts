import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { TaskState, type Worker, WorkerSchema } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import type { WorkerRows } from "../storage/worker-rows.ts";
import type { Running } from "./running-task.ts";

/** What one orchestrator knows of the pools of others that share its database: their workers, and the tasks that run there. */
export class Roster {
  readonly #rows: Pick<WorkerRows, "tell" | "ofOthers" | "askDrain">;
  readonly #tenant: string;
  readonly #owner: string;
  #elsewhere: Running[] = [];

  constructor(rows: Pick<WorkerRows, "tell" | "ofOthers" | "askDrain">, { tenant, owner }: { tenant: string; owner: string }) {
    this.#rows = rows;
    this.#tenant = tenant;
    this.#owner = owner;
  }

  /** Tasks that other orchestrators answer for: they count against shares and limits here too, as of the last look. */
  get elsewhere(): readonly Running[] {
    return this.#elsewhere;
  }

  /** `open`: the rows of all tasks that have not ended. */
  look(open: readonly TaskRecord[]): void {
    this.#elsewhere = open
      .filter(({ state, claimOwner }) => state === TaskState.RUNNING && claimOwner !== this.#owner)
      // One that is making room already, as far as we can say: it is not ours to stop.
      .map((task) => ({ task, member: task.worker ?? "", yielding: true, since: 0 }));
  }

  /** Tells the others of our workers; returns those that people want drained. */
  async tell(workers: readonly Worker[]): Promise<string[]> {
    const rows = workers.map((worker) => ({ id: worker.id, payload: toBinary(WorkerSchema, worker) }));
    return await this.#rows.tell(this.#tenant, this.#owner, rows);
  }

  /** Workers that have joined other orchestrators. */
  async others(own: ReadonlyMap<string, unknown>): Promise<Worker[]> {
    const rows = await this.#rows.ofOthers(this.#tenant, this.#owner);
    return rows.flatMap(({ id, owner, payload }) => {
      const worker = fromBinary(WorkerSchema, payload);
      worker.orchestratorId = owner;
      worker.local = false;
      return own.has(id) ? [] : [worker];
    });
  }

  /** Has another orchestrator drain its worker; false: nobody knows it. */
  drain(id: string): Promise<boolean> {
    return this.#rows.askDrain(this.#tenant, id);
  }
}

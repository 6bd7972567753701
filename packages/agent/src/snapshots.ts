import { body, type Checkpoint, type Checkpointer, type EventBody, type FaultPoints, type SessionState } from "@guildhall/core";

import type { FaultPoint } from "./fault-points.ts";

/** Checkpoints of a run: the first is taken in the background while the model thinks, the others after actions that may have written. */
export class Snapshots {
  readonly #checkpointer: Promise<Checkpointer> | undefined;
  readonly #faults: FaultPoints | undefined;
  #first: Promise<Checkpoint | undefined> | undefined;
  #latest: Checkpoint | undefined;

  constructor(checkpointer: Promise<Checkpointer> | undefined, faults: FaultPoints | undefined) {
    this.#checkpointer = checkpointer;
    this.#faults = faults;
  }

  /** Begins the first capture; does nothing when it has begun. */
  begin(): void {
    if (this.#first !== undefined) return;
    this.#first = this.capture();
    // Reported to who awaits `first`.
    this.#first.catch(() => undefined);
  }

  /** Done with the first capture: before this, no action may begin. Throws what capturing throws. */
  async first(): Promise<void> {
    this.begin();
    await this.#first;
  }

  async capture(): Promise<Checkpoint | undefined> {
    const checkpointer = await this.#checkpointer;
    if (checkpointer === undefined) return undefined;
    await this.#faults?.hit("checkpoint:before" satisfies FaultPoint);
    const checkpoint = await checkpointer.capture();
    await this.#faults?.hit("checkpoint:after" satisfies FaultPoint);
    this.#latest = checkpoint;
    return checkpoint;
  }

  /** The latest checkpoint as an event, when the log's last one is another. */
  event(state: SessionState): EventBody[] {
    const latest = this.#latest;
    if (latest === undefined || latest.tree === state.checkpoint?.tree) return [];
    return [
      body.checkpointMade({
        tree: latest.tree,
        environmentHash: state.info.environmentHash,
        changedFiles: latest.changedFiles,
        storedBytes: BigInt(latest.storedBytes),
        omitted: latest.omitted,
      }),
    ];
  }

  /** Nothing runs in the background any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#first]);
  }
}

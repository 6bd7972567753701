import { create } from "@bufbuild/protobuf";
import type { Clock } from "@guildhall/core";
import { type HybridTime, HybridTimeSchema, type Operation } from "@guildhall/protocol";

/**
 * A hybrid logical clock (Kulkarni et al. 2014): times that follow the wall clock, never go back when it is set back, and are later than every
 * time that was seen before, another replica's too.
 */
export class HybridClock {
  readonly #clock: Pick<Clock, "now">;
  #wall = 0n;
  #counter = 0;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** A time later than all that were given or seen. */
  tick(): HybridTime {
    const now = BigInt(this.#clock.now().getTime());
    if (now > this.#wall) {
      this.#wall = now;
      this.#counter = 0;
    } else this.#counter += 1;
    return create(HybridTimeSchema, { wallMs: this.#wall, counter: this.#counter });
  }

  see(time: HybridTime | undefined): void {
    if (time === undefined) return;
    if (time.wallMs > this.#wall || (time.wallMs === this.#wall && time.counter > this.#counter)) {
      this.#wall = time.wallMs;
      this.#counter = time.counter;
    }
  }
}

/** The one order of operations, the same at every replica: by time, then by replica and position. */
export function compareOperations(x: Operation, y: Operation): number {
  const [a, b] = [x.time?.wallMs ?? 0n, y.time?.wallMs ?? 0n];
  if (a !== b) return a < b ? -1 : 1;
  const counters = (x.time?.counter ?? 0) - (y.time?.counter ?? 0);
  if (counters !== 0) return counters;
  if (x.replica !== y.replica) return x.replica < y.replica ? -1 : 1;
  return x.seq < y.seq ? -1 : Number(x.seq > y.seq);
}

/** When the operation was written, milliseconds. */
export function writtenAt(operation: Operation): number {
  return Number(operation.time?.wallMs ?? 0n);
}

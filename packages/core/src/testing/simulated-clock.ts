import { setImmediate as nextTurn } from "node:timers/promises";

import type { Clock } from "../ports/clock.ts";

/** A clock that stands still until it is told to go on. */
export interface SimulatedClock extends Clock {
  /** Moves time on; sleeps that end on the way are woken in the order of their ends. */
  advance(ms: number): Promise<void>;
  /** Sleeps under way. */
  readonly sleepers: number;
}

/** Starts at `start` (default 2026-01-01T00:00:00Z). With `tick`, every look at the clock moves it on by so many milliseconds. */
export function simulatedClock(options: { start?: Date; tick?: number } = {}): SimulatedClock {
  const start = (options.start ?? new Date("2026-01-01T00:00:00Z")).getTime();
  const tick = options.tick ?? 0;
  const sleeps = new Set<{ until: number; wake: () => void }>();
  let elapsed = 0;
  const look = () => {
    elapsed += tick;
    return elapsed;
  };
  return {
    now: () => new Date(start + look()),
    monotonic: () => look(),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const sleep = { until: elapsed + ms, wake: resolve };
      const abort = () => reject(signal?.reason as Error);
      sleeps.add(sleep);
      signal?.addEventListener("abort", abort, { once: true });
      try {
        await promise;
      } finally {
        sleeps.delete(sleep);
        signal?.removeEventListener("abort", abort);
      }
    },
    advance: async (ms) => {
      const end = elapsed + ms;
      for (;;) {
        const due = [...sleeps].filter((sleep) => sleep.until <= end).sort((a, b) => a.until - b.until)[0];
        if (due === undefined) break;
        sleeps.delete(due);
        elapsed = Math.max(elapsed, due.until);
        due.wake();
        await nextTurn();
      }
      elapsed = Math.max(elapsed, end);
    },
    get sleepers() {
      return sleeps.size;
    },
  };
}

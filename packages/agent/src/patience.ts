import { once } from "node:events";

import type { Clock } from "@guildhall/core";

/** How long something that was told to stop may take to do so, milliseconds. */
const GRACE_MS = 5_000;

/**
 * What `work` comes to; undefined when `signal` has aborted and it then fails, or does not end within its grace: whoever does not stop
 * when told is not waited for. A result that comes in time counts, aborted or not.
 */
export async function patiently<T>(clock: Clock, signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  const overdue = (async () => {
    if (!signal.aborted) await once(signal, "abort", { signal: over.signal });
    await clock.sleep(GRACE_MS, over.signal);
    return undefined;
  })();
  // It ends with the work, by being aborted.
  overdue.catch(() => undefined);
  try {
    return await Promise.race([work, overdue]);
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    over.abort();
  }
}

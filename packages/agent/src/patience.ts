import type { Clock } from "@guildhall/core";

/** How long something that was told to stop may take to do so, milliseconds. */
const GRACE_MS = 5_000;

/**
 * What `work` comes to; undefined when `signal` has aborted and it then fails, or does not end within its grace: whoever does not stop
 * when told is not waited for. A result that comes in time counts, aborted or not.
 */
export async function patiently<T>(clock: Clock, signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  const told = Promise.withResolvers<void>();
  const listener = (): void => told.resolve();
  if (signal.aborted) listener();
  else signal.addEventListener("abort", listener, { once: true });
  // Most work ends without having been told to: the grace begins only when it is.
  const grace = new AbortController();
  const overdue = told.promise.then(async () => {
    await clock.sleep(GRACE_MS, grace.signal);
    return undefined;
  });
  // It ends with the work, by being aborted.
  overdue.catch(() => undefined);
  try {
    return await Promise.race([work, overdue]);
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    signal.removeEventListener("abort", listener);
    if (signal.aborted) grace.abort();
  }
}

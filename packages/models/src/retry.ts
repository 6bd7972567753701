import type { Clock } from "@guildhall/core";

/** How often and how long to wait for a service that is busy. */
export interface RetryPolicy {
  /** Attempts in all. */
  attempts: number;
  /** The first wait is drawn from 0 to this, and the bound doubles with each attempt. Milliseconds. */
  baseMs: number;
  /** No bound grows beyond this, milliseconds. */
  capMs: number;
  /** A service that says to come back later than this is not waited for, milliseconds. */
  longestRetryAfterMs: number;
  /** How long a server may take to load its model, milliseconds. */
  loadingMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 6,
  baseMs: 500,
  capMs: 30_000,
  longestRetryAfterMs: 300_000,
  loadingMs: 900_000,
};

/**
 * Wait before the next attempt: full jitter (a uniform draw between 0 and an exponentially growing bound, Brooker, “Exponential Backoff And Jitter”),
 * on top of what the service asked for.
 */
export function backoffMs(policy: RetryPolicy, attempt: number, retryAfterMs: number | undefined, random: () => number): number {
  const drawn = Math.round(random() * Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1)));
  return (retryAfterMs ?? 0) + drawn;
}

/** `retry-after-ms`, or `retry-after` as seconds or as a date (RFC 9110, 10.2.3), in milliseconds from `now`; undefined when absent or no time. */
export function parseRetryAfter(headers: Record<string, string>, now: Date): number | undefined {
  const exact = Number.parseFloat(headers["retry-after-ms"] ?? "");
  if (Number.isFinite(exact) && exact >= 0) return exact;
  const value = headers["retry-after"]?.trim();
  if (value === undefined || value === "") return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number.parseFloat(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now.getTime());
}

/** Waits, or throws the signal's reason. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await clock.sleep(ms, signal);
  signal.throwIfAborted();
}

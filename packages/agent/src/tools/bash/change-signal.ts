/** What a wait ended with. */
export type WaitEnd = "changed" | "time" | "aborted";

/** Lets others wait until something has happened, without polling: each `notify` wakes all that wait. */
export class ChangeSignal {
  #change = Promise.withResolvers<WaitEnd>();
  #count = 0;

  /** How often something has happened. */
  get count(): number {
    return this.#count;
  }

  notify(): void {
    this.#count += 1;
    this.#change.resolve("changed");
    this.#change = Promise.withResolvers();
  }

  /**
   * Resolves at the next `notify`, after `ms` milliseconds, or when the signal aborts. Who has awaited anything since he looked says what the `count`
   * was before, so that he does not wait for what has happened meanwhile.
   */
  async wait(ms: number, signal?: AbortSignal, count = this.#count): Promise<WaitEnd> {
    if (signal?.aborted === true) return "aborted";
    if (count !== this.#count) return "changed";
    if (ms <= 0) return "time";
    const other = Promise.withResolvers<WaitEnd>();
    const timer = Number.isFinite(ms) ? setTimeout(() => other.resolve("time"), Math.min(ms, 2 ** 31 - 1)) : undefined;
    const onAbort = (): void => other.resolve("aborted");
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([this.#change.promise, other.promise]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

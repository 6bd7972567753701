import type { Ledger } from "./ledger.ts";

/** Tells those who wait for it that a ledger has grown beyond what they know. */
export class News {
  readonly #ledger: Ledger;
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** The ledger has grown. */
  tell(): void {
    for (const look of this.#waiting) look();
  }

  /** Nobody waits any longer. */
  end(): void {
    this.#ended = true;
    this.tell();
  }

  /** Resolves when the ledger has what somebody who knows so much lacks, after `ms`, or when the signal aborts. Holds no process open. */
  async beyond(known: Readonly<Record<string, bigint>>, { ms, signal }: { ms?: number; signal?: AbortSignal }): Promise<void> {
    const has = (): boolean => this.#ended || this.#ledger.after(known, 1).operations.length > 0;
    if (signal?.aborted === true || has()) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const look = (): void => (has() ? done() : undefined);
      const timer = ms === undefined ? undefined : setTimeout(done, ms).unref();
      signal?.addEventListener("abort", done, { once: true });
      this.#waiting.add(look);
    });
  }
}

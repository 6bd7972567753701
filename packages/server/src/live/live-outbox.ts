import type { Notice, Notices } from "../storage/notices.ts";

/** Notices on their way to other orchestrators: gathered for a moment, told together, one statement at a time. */
export class LiveOutbox {
  readonly #notices: Pick<Notices, "tell">;
  readonly #lost: () => void;
  readonly #gatherMs: number;
  readonly #againMs: number;
  #waiting: Notice[] = [];
  #bytes = 0;
  #sending = false;
  #closed = false;

  /** `lost`: called when what was pushed could not be told. */
  constructor(notices: Pick<Notices, "tell">, lost: () => void, gatherMs = 50, againMs = 1_000) {
    this.#notices = notices;
    this.#lost = lost;
    this.#gatherMs = gatherMs;
    this.#againMs = againMs;
  }

  /** So much waits that what is not needed should be left out. */
  get isFull(): boolean {
    return this.#bytes > MOST_BYTES;
  }

  /** `to`: who asked, or `undefined` for all. */
  push(to: string | undefined, payloads: readonly string[]): void {
    if (this.#closed) return;
    for (const payload of payloads) {
      this.#waiting.push({ channel: channelOf(to), payload });
      this.#bytes += payload.length;
    }
    if (this.#sending) return;
    this.#sending = true;
    setTimeout(() => void this.#send(), this.#gatherMs).unref();
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  async #send(): Promise<void> {
    const notices = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    let told = true;
    try {
      if (notices.length > 0) await this.#notices.tell(notices);
    } catch {
      // The database is away: the log has what matters, and what is on its way is told anew before long.
      told = false;
      await new Promise((resolve) => setTimeout(resolve, this.#againMs).unref());
    }
    this.#sending = false;
    if (!told && !this.#closed) this.#lost();
    if (this.#waiting.length > 0) this.push(undefined, []);
  }
}

/** Where one orchestrator, or all of them, hear. */
export function channelOf(id?: string): string {
  return id === undefined ? "guildhall_live" : `guildhall_live_${id}`;
}

/** Of payloads that wait for the statement before them. */
const MOST_BYTES = 1_000_000;

import { setImmediate as nextTurn } from "node:timers/promises";

import type { Event, EventLog, SessionKey, SessionMemory } from "@guildhall/core";

/** Events taken in before others get their turn. */
const AT_ONCE = 16;
/** Events that may wait before they are taken in whether it is quiet or not. */
const MOST_WAITING = 512;
const PAGE = 500;

/**
 * Brings a session's events to its memory, not while the agent works but when somebody asks (`catchUp`) or it is quiet: taking a step's events in costs
 * milliseconds that the next step would wait for. What waits here is in the log.
 */
export class Follower {
  readonly #memory: SessionMemory;
  #waiting: Event[] = [];
  /** Sequence of the last event that has come. */
  #came = 0;
  /** Reads what has been appended since; undefined before it follows. */
  #read: ((from: number) => Promise<Event[]>) | undefined;
  #working: Promise<void> | undefined;
  #resting: Promise<void> | undefined;

  constructor(memory: SessionMemory) {
    this.#memory = memory;
  }

  /** Follows until the signal aborts; rejects with what kept it from reading. `quiet` resolves when there is time. */
  async follow(log: Pick<EventLog, "watch" | "read">, key: SessionKey, quiet: () => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#read = (from) => log.read(key, from, PAGE);
    for await (const events of log.watch(key, 1, signal)) {
      this.#arrived(events);
      if (this.#waiting.length > MOST_WAITING) await this.catchUp();
      this.#resting ??= quiet()
        .then(() => (signal.aborted ? undefined : this.catchUp()))
        .finally(() => (this.#resting = undefined));
      // Taking events in does not fail but for a fault of ours; the next who asks hears of it.
      this.#resting.catch(() => undefined);
    }
  }

  /** Resolves when all that the log had is in the memory, whatever a watch has brought yet. */
  async catchUpWithLog(): Promise<void> {
    for (let full = this.#read !== undefined; full;) {
      const events = (await this.#read?.(this.#came + 1)) ?? [];
      this.#arrived(events);
      full = events.length === PAGE;
    }
    await this.catchUp();
  }

  /** Resolves when all that has come so far is in the memory. */
  async catchUp(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#working ??= this.#take().finally(() => (this.#working = undefined));
      await this.#working;
    }
  }

  /** The watch and a reading of the log bring the same events, each in order: those that have come before are passed over. */
  #arrived(events: readonly Event[]): void {
    for (const event of events) {
      const seq = Number(event.seq);
      if (seq <= this.#came) continue;
      this.#came = seq;
      this.#waiting.push(event);
    }
  }

  async #take(): Promise<void> {
    const events = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < events.length; from += AT_ONCE) {
      this.#memory.observe(events.slice(from, from + AT_ONCE));
      await nextTurn();
    }
  }
}

/** The memory as its users see it: whoever recalls finds what has been told so far. */
export function caughtUp(memory: SessionMemory, follower: Follower): SessionMemory {
  return {
    observe: (events) => memory.observe(events),
    async recall(request) {
      await follower.catchUpWithLog();
      return await memory.recall(request);
    },
    remember: (id, text, options) => memory.remember(id, text, options),
    forget: (id) => memory.forget(id),
    close: () => memory.close(),
  };
}

import type { Event, SessionKey } from "@guildhall/core";

/** Newest events kept of a watched session: enough that readers who keep up never ask the database. */
const KEPT = 64;

/**
 * The newest end of every session that somebody watches. A reader pulls from its own position, so that a slow one costs nothing: what is
 * no longer kept here is in the store.
 */
export class SessionTails {
  readonly #tails = new Map<string, Tail>();

  /** Joins the session's tail; `leave` when done. */
  follow(key: SessionKey): Tail {
    const name = nameOf(key);
    let tail = this.#tails.get(name);
    if (tail === undefined) {
      tail = new Tail(key, () => this.#tails.delete(name));
      this.#tails.set(name, tail);
    }
    tail.join();
    return tail;
  }

  /** Events that were just stored, in order and without a gap between them. */
  publish(key: SessionKey, events: Event[]): void {
    this.#tails.get(nameOf(key))?.publish(events);
  }

  /** The store is known to hold events up to `seq`. */
  learn(key: SessionKey, seq: number): void {
    this.#tails.get(nameOf(key))?.learn(seq);
  }

  get followed(): SessionKey[] {
    return [...this.#tails.values()].map((tail) => tail.key);
  }

  /** Wakes every reader, to find out that the log is closed. */
  wakeAll(): void {
    for (const tail of this.#tails.values()) tail.wake();
  }
}

/** One session's newest end, shared by its readers. */
export class Tail {
  readonly key: SessionKey;
  /** The store holds events up to here, perhaps more. */
  known = 0;
  #events: Event[] = [];
  #readers = 0;
  #changed = Promise.withResolvers<void>();
  readonly #drop: () => void;

  constructor(key: SessionKey, drop: () => void) {
    this.key = { tenant: key.tenant, session: key.session };
    this.#drop = drop;
  }

  /** Resolves at the next change. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** The kept events from `seq` on; empty when the first of them is not kept (any more). */
  from(seq: number): Event[] {
    const first = this.#events[0]?.seq;
    return first === undefined || seq < first ? [] : this.#events.slice(seq - first);
  }

  publish(events: Event[]): void {
    const first = events[0];
    const last = events.at(-1);
    if (first === undefined || last === undefined) return;
    const end = this.#events.at(-1)?.seq;
    // Reports may come late or leave out what others appended; only the newest unbroken run is kept.
    if (end !== undefined && last.seq <= end) return;
    this.#events = (end === first.seq - 1 ? [...this.#events, ...events] : events).slice(-KEPT);
    this.learn(last.seq);
    this.wake();
  }

  learn(seq: number): void {
    if (seq <= this.known) return;
    this.known = seq;
    this.wake();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  join(): void {
    this.#readers++;
  }

  leave(): void {
    this.#readers--;
    if (this.#readers === 0) this.#drop();
  }
}

function nameOf(key: SessionKey): string {
  return `${key.tenant}\n${key.session}`;
}

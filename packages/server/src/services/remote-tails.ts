import type { Event, EventLog, SessionKey } from "@guildhall/core";

import { SessionTails, type Tail } from "../storage/session-tails.ts";

/** Where a log of another process is asked. */
export interface TailSource {
  getSession: EventLog["getSession"];
  read: EventLog["read"];
  /** What is appended from `fromSeq` on, but for what the holder of lease `exceptEpoch` appends; 0: everything. */
  follow(key: SessionKey, fromSeq: number, exceptEpoch: number, signal: AbortSignal): AsyncIterable<Event[]>;
}

/**
 * Watches of sessions whose log is elsewhere: one over the wire for all who watch a session here, and what this process appends itself
 * does not come back over it. Where that leaves a gap, the log is read.
 */
export class RemoteTails {
  readonly #source: TailSource;
  readonly #tails = new SessionTails();
  readonly #feeds = new Map<Tail, Feed>();
  /** Of the leases that this process holds, by session. */
  readonly #epochs = new Map<string, number>();

  constructor(source: TailSource) {
    this.#source = source;
  }

  /** This process has stored events, in order and without a gap between them. */
  appended(key: SessionKey, events: Event[]): void {
    this.#tails.publish(key, events);
  }

  /** This process alone appends under that epoch from now on. */
  leased(key: SessionKey, epoch: number): void {
    this.#epochs.set(key.session, epoch);
    for (const [tail, feed] of this.#feeds) if (tail.key.session === key.session) feed.renew();
  }

  released({ session }: SessionKey, epoch: number): void {
    if (this.#epochs.get(session) === epoch) this.#epochs.delete(session);
  }

  /** As `EventLog.watch`. */
  async *watch(key: SessionKey, fromSeq: number, signal: AbortSignal): AsyncGenerator<Event[]> {
    if (signal.aborted) return;
    const tail = this.#tails.follow(key);
    const feed = this.#feeds.get(tail) ?? this.#feed(tail);
    feed.readers++;
    const wake = (): void => tail.wake();
    signal.addEventListener("abort", wake, { once: true });
    try {
      await feed.begun;
      for (let next = Math.max(1, fromSeq); !signal.aborted;) {
        const { changed } = tail;
        if (feed.failure !== undefined) throw feed.failure;
        let events = tail.from(next);
        if (events.length === 0 && next <= tail.known) events = await this.#source.read(key, next, PAGE);
        if (events.length === 0) {
          await changed;
          continue;
        }
        next += events.length;
        yield events;
      }
    } finally {
      signal.removeEventListener("abort", wake);
      feed.readers--;
      if (feed.readers === 0) {
        feed.end();
        this.#feeds.delete(tail);
      }
      tail.leave();
    }
  }

  #feed(tail: Tail): Feed {
    const feed = new Feed(async (signal, first) => {
      if (first) tail.learn((await this.#source.getSession(tail.key)).lastSeq);
      return this.#source.follow(tail.key, tail.known + 1, this.#epochs.get(tail.key.session) ?? 0, signal);
    }, tail);
    this.#feeds.set(tail, feed);
    return feed;
  }
}

/** Of a read where the tail does not reach back. */
const PAGE = 500;

/** One watch over the wire, begun anew whenever what it leaves out changes. */
class Feed {
  readers = 0;
  failure: Error | undefined;
  /** The tail knows how far the log goes; rejects when there is no such session. */
  readonly begun: Promise<void>;
  readonly #end = new AbortController();
  #turn = new AbortController();

  constructor(open: (signal: AbortSignal, first: boolean) => Promise<AsyncIterable<Event[]>>, tail: Tail) {
    const begun = Promise.withResolvers<void>();
    this.begun = begun.promise;
    // Who waits for it hears of it.
    this.begun.catch(() => undefined);
    const run = async (): Promise<void> => {
      for (let first = true; !this.#end.signal.aborted; first = false) {
        this.#turn = new AbortController();
        const signal = AbortSignal.any([this.#end.signal, this.#turn.signal]);
        const batches = await open(signal, first);
        begun.resolve();
        for await (const events of batches) tail.publish(events);
      }
    };
    run().catch((error: unknown) => {
      this.failure = error instanceof Error ? error : new TypeError(String(error));
      begun.reject(this.failure);
      tail.wake();
    });
  }

  renew(): void {
    this.#turn.abort();
  }

  end(): void {
    this.#end.abort();
  }
}

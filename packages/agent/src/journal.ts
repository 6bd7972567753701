import {
  type Clock,
  type EventBody,
  type EventLog,
  EMPTY_SESSION,
  type Event,
  type FaultPoints,
  fold,
  foldBodies,
  GuildError,
  type Lease,
  type SessionKey,
  type SessionState,
} from "@guildhall/core";
import { Control } from "@guildhall/protocol";

import type { FaultPoint } from "./fault-points.ts";

const PAGE = 1_000;
/** One for all: an error is dear to make, for its stack, and this one is made several times a step. */
const STEP_OVER = new GuildError("cancelled", "the step is over");
/** Of one append. */
const MOST_EVENTS = 10_000;

export interface JournalOptions {
  log: EventLog;
  key: SessionKey;
  worker: string;
  leaseMs: number;
  takeover: boolean;
  clock: Clock;
  faults: FaultPoints | undefined;
}

/** What follows from a state without any effect; empty: nothing does. */
export type Consequences = (state: SessionState) => EventBody[];

/**
 * A session as one worker holds it: the lease, kept alive; the folded state; what other people put into the log meanwhile; and the only
 * way to add to it. Lost leases and aborted signals end what is under way (`effect`) and every later use.
 */
export class Journal {
  /** The state after every event known here; take it anew after each await. */
  state: SessionState = EMPTY_SESSION;
  readonly epoch: number;
  readonly #options: JournalOptions;
  #lease: Lease;
  /** Events that came by themselves and are not folded yet. */
  #inbox: Event[] = [];
  #arrived = Promise.withResolvers<void>();
  /** Why no more may be done: the lease is lost, or the log cannot be followed. */
  #broken: Error | undefined;
  #effect: AbortController | undefined;
  readonly #end = new AbortController();
  readonly #background: Promise<void>[] = [];

  /** Takes the lease and reads the log. Throws `failed_precondition` while another worker holds the session, `not_found`. */
  static async open(options: JournalOptions): Promise<Journal> {
    const { log, key, worker, leaseMs, takeover, faults } = options;
    const lease = await log.acquireLease(key, worker, leaseMs, { takeover });
    const journal = new Journal(options, lease);
    try {
      await faults?.hit("lease:acquired" satisfies FaultPoint);
      await journal.#read();
    } catch (error) {
      await journal.close();
      throw error;
    }
    const broken = (error: unknown) => journal.#break(error);
    journal.#background.push(journal.#renew().catch(broken), journal.#follow().catch(broken));
    return journal;
  }

  private constructor(options: JournalOptions, lease: Lease) {
    this.#options = options;
    this.#lease = lease;
    this.epoch = lease.epoch;
  }

  /** Folds what has arrived. Throws when the lease is lost. */
  catchUp(): SessionState {
    if (this.#broken !== undefined) throw this.#broken;
    for (const event of this.#inbox.splice(0)) this.#fold(event);
    return this.state;
  }

  /**
   * Appends what `make` says, and what follows from it, in one go; nothing when that is nothing. When inputs came in between, they are
   * folded and `make` is asked again: it must not do anything but read the state. Returns what was appended.
   */
  async commit(make: Consequences, consequences: Consequences): Promise<EventBody[]> {
    const { log, key, worker, clock, faults } = this.#options;
    for (;;) {
      const state = this.catchUp();
      const written = { epoch: this.epoch, time: clock.now() };
      const events = [...make(state)];
      let ahead = foldBodies(state, events, written);
      for (let more = consequences(ahead); more.length > 0; more = consequences(ahead)) {
        events.push(...more);
        if (events.length > MOST_EVENTS)
          throw new GuildError("internal", "what follows from a state must come to an end", { subject: key.session });
        ahead = foldBodies(ahead, more, written);
      }
      if (events.length === 0) return events;
      await faults?.hit("append:before" satisfies FaultPoint);
      const stored = await this.#append({ ...key, expectedSeq: state.seq, epoch: this.epoch, actor: `worker:${worker}`, events }, log);
      if (stored === undefined) {
        await this.#read();
        continue;
      }
      await faults?.hit("append:after" satisfies FaultPoint);
      // What was foreseen is what was stored, so that it need not be folded a second time.
      this.state = ahead;
      for (const event of stored) this.#fold(event);
      return events;
    }
  }

  /** Stores an input of another actor, and folds it with whatever else has come. */
  async input(actor: string, events: EventBody[]): Promise<void> {
    this.catchUp();
    await this.#options.log.appendInput(this.#options.key, actor, events);
    await this.#read();
  }

  /**
   * Runs an effect that ends early when an interrupt arrives, the lease is lost or one of `signals` aborts. What it has begun and not
   * ended when it returns is aborted too.
   */
  async effect<T>(run: (signal: AbortSignal) => Promise<T>, ...signals: AbortSignal[]): Promise<T> {
    const controller = new AbortController();
    this.#effect = controller;
    if (this.#broken !== undefined || this.#inbox.some((event) => event.seq > this.state.seq && isInterrupt(event)))
      controller.abort(new GuildError("cancelled", "interrupted"));
    try {
      return await run(AbortSignal.any([controller.signal, ...signals]));
    } finally {
      this.#effect = undefined;
      controller.abort(STEP_OVER);
    }
  }

  /** Waits until something arrives, `until` (milliseconds since 1970) is over, or a signal aborts; never rejects for these. */
  async arrival(until: number, ...signals: AbortSignal[]): Promise<void> {
    if (this.#inbox.length > 0 || this.#broken !== undefined) return;
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#end.signal, ...signals]);
    const aborted = Promise.withResolvers<void>();
    const abort = () => aborted.resolve();
    signal.addEventListener("abort", abort, { once: true });
    const left = Math.max(0, until - this.#options.clock.now().getTime());
    // One sleep cannot be longer than 2^31 ms; who is woken early looks and waits again.
    const elapsed = this.#options.clock.sleep(Math.min(left + 1, 2 ** 31 - 1), signal).catch(ignoreAbort(signal));
    try {
      if (!signal.aborted) await Promise.race([this.#arrived.promise, aborted.promise, elapsed]);
    } finally {
      signal.removeEventListener("abort", abort);
      over.abort();
      await elapsed;
    }
  }

  /** Stops following and gives the lease back. */
  async close(): Promise<void> {
    this.#end.abort(new GuildError("cancelled", "the run is over"));
    this.#effect?.abort(this.#end.signal.reason);
    await Promise.all(this.#background);
    await this.#options.log.releaseLease(this.#lease).catch((error: unknown) => {
      // It ends by itself; whatever broke the log is reported by what needed it.
      this.#break(error);
    });
  }

  async #append(append: Parameters<EventLog["append"]>[0], log: EventLog): Promise<Event[] | undefined> {
    try {
      return await log.append(append);
    } catch (error) {
      if (GuildError.is(error, "sequence_moved")) return undefined;
      throw error;
    }
  }

  async #read(): Promise<void> {
    for (;;) {
      const page = await this.#options.log.read(this.#options.key, this.state.seq + 1, PAGE);
      for (const event of page) this.#fold(event);
      if (page.length < PAGE) return;
    }
  }

  #fold(event: Event): void {
    this.state = fold(this.state, event);
  }

  /** Inputs from people, as they come; our own events come too and are known by their sequence. */
  async #follow(): Promise<void> {
    const { log, key } = this.#options;
    try {
      for await (const events of log.watch(key, this.state.seq + 1, this.#end.signal)) {
        const fresh = events.filter((event) => event.seq > this.state.seq && event.epoch !== this.epoch);
        if (fresh.length > 0) this.#receive(fresh);
      }
    } catch (error) {
      // At the end of the run a watch may well end with an error.
      if (!this.#end.signal.aborted) throw error;
    }
  }

  #receive(events: Event[]): void {
    if (events.some((event) => event.epoch > this.epoch)) this.#break(leaseLost(this.#options));
    this.#inbox.push(...events);
    if (events.some(isInterrupt)) this.#effect?.abort(new GuildError("cancelled", "interrupted"));
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
  }

  async #renew(): Promise<void> {
    const { log, leaseMs, clock } = this.#options;
    const { signal } = this.#end;
    // By the monotonic clock: the other one may jump.
    let renewed = clock.monotonic();
    while (!signal.aborted) {
      await clock.sleep(leaseMs / 3, signal).catch(ignoreAbort(signal));
      if (signal.aborted) return;
      try {
        const asked = clock.monotonic();
        this.#lease = await log.renewLease(this.#lease, leaseMs);
        renewed = asked;
      } catch (error) {
        // A store that is away for a moment is asked again at the next third; a lease that is over is not.
        if (GuildError.is(error, "lease_lost") || clock.monotonic() - renewed >= leaseMs) return this.#break(error);
      }
    }
  }

  #break(error: unknown): void {
    this.#broken ??= GuildError.from(error);
    this.#effect?.abort(this.#broken);
    this.#arrived.resolve();
  }
}

function leaseLost({ key }: JournalOptions): GuildError {
  return new GuildError("lease_lost", `another worker has taken over session ${key.session}`, { subject: key.session });
}

function isInterrupt(event: Event): boolean {
  return event.body.case === "controlRequested" && event.body.value.control === Control.INTERRUPT;
}

function ignoreAbort(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) throw error;
  };
}

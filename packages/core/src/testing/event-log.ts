import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@guildhall/protocol";

import { GuildError } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Append, EventBody, EventLog, Lease, NewSession, SessionKey, SessionRecord } from "../ports/event-log.ts";
import { inputKey, NO_TURN, turnChange } from "../session-row.ts";

const PAGE = 256;

/** The event log in memory: for tests and simulations. It stores encoded events, so that what is read is never what was written. */
export class MemoryEventLog implements EventLog {
  readonly #clock: Pick<Clock, "now">;
  readonly #sessions = new Map<string, Row>();
  readonly #requests = new Map<string, string>();
  #created = 0;
  #closed = false;

  constructor(options: { clock?: Pick<Clock, "now"> } = {}) {
    this.#clock = options.clock ?? { now: () => new Date() };
  }

  async createSession(session: NewSession): Promise<SessionRecord> {
    this.#mustBeOpen();
    if (session.session === "" || session.tenant === "") throw new GuildError("invalid_argument", "a session needs an id and a tenant");
    if (session.events[0]?.case !== "sessionStarted") {
      throw new GuildError("invalid_argument", "a session begins with SessionStarted", { subject: session.session });
    }
    const request = session.requestId === undefined ? undefined : JSON.stringify([session.tenant, session.requestId]);
    const known = request === undefined ? undefined : this.#requests.get(request);
    if (known !== undefined) return this.#record(this.#row({ tenant: session.tenant, session: known }));
    const id = rowId(session);
    if (this.#sessions.has(id)) {
      throw new GuildError("already_exists", `session ${session.session} exists already`, { subject: session.session });
    }
    const now = this.#clock.now();
    const row: Row = {
      key: { tenant: session.tenant, session: session.session },
      title: session.title,
      workspace: session.workspace,
      parent: session.parent,
      order: ++this.#created,
      created: now,
      updated: now,
      epoch: 0,
      lease: undefined,
      turn: NO_TURN,
      events: [],
      inputs: new Map(),
      changed: Promise.withResolvers(),
    };
    this.#sessions.set(id, row);
    if (request !== undefined) this.#requests.set(request, session.session);
    this.#store(row, 0, session.actor, session.events);
    return this.#record(row);
  }

  async getSession(key: SessionKey): Promise<SessionRecord> {
    return this.#record(this.#row(key));
  }

  async listSessions(query: { tenant: string; workspace?: string; limit: number; before?: string }): Promise<SessionRecord[]> {
    this.#mustBeOpen();
    const before = query.before === undefined ? Infinity : this.#row({ tenant: query.tenant, session: query.before }).order;
    return [...this.#sessions.values()]
      .filter((row) => row.key.tenant === query.tenant && row.order < before)
      .filter((row) => query.workspace === undefined || row.workspace === query.workspace)
      .sort((a, b) => b.order - a.order)
      .slice(0, query.limit)
      .map((row) => this.#record(row));
  }

  async append(append: Append): Promise<Event[]> {
    const row = this.#row(append);
    if (append.events.length === 0) throw new GuildError("invalid_argument", "an append needs events", { subject: append.session });
    const lease = this.#running(row);
    if (lease === undefined || row.epoch !== append.epoch) throw leaseLost(append);
    if (row.events.length !== append.expectedSeq) {
      throw new GuildError("sequence_moved", `the log stands at ${row.events.length}, not ${append.expectedSeq}`, {
        subject: append.session,
      });
    }
    return this.#store(row, append.epoch, append.actor, append.events);
  }

  async appendInput(key: SessionKey, actor: string, events: EventBody[]): Promise<Event[]> {
    const row = this.#row(key);
    if (events.length === 0) throw new GuildError("invalid_argument", "an input needs events", { subject: key.session });
    return events.flatMap((body) => {
      const name = inputKey(body);
      const stored = name === undefined ? undefined : row.inputs.get(name);
      return stored === undefined ? this.#store(row, 0, actor, [body]) : this.#read(row, stored, 1);
    });
  }

  async read(key: SessionKey, fromSeq: number, limit: number): Promise<Event[]> {
    return this.#read(this.#row(key), fromSeq, limit);
  }

  async *watch(key: SessionKey, fromSeq: number, signal: AbortSignal): AsyncGenerator<Event[]> {
    const row = this.#row(key);
    const aborted = Promise.withResolvers<void>();
    const abort = () => aborted.resolve();
    signal.addEventListener("abort", abort, { once: true });
    try {
      for (let next = Math.max(1, fromSeq); !signal.aborted;) {
        this.#mustBeOpen();
        const { promise } = row.changed;
        const events = this.#read(row, next, PAGE);
        if (events.length === 0) {
          await Promise.race([promise, aborted.promise]);
          continue;
        }
        next += events.length;
        yield events;
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async acquireLease(key: SessionKey, owner: string, ttlMs: number, options: { takeover?: boolean } = {}): Promise<Lease> {
    const row = this.#row(key);
    const running = this.#running(row);
    if (running !== undefined && running.owner !== owner && options.takeover !== true) {
      throw new GuildError("failed_precondition", `session ${key.session} is being worked on by ${running.owner}`, {
        subject: key.session,
        remedy: "wait until it is done, or interrupt it",
      });
    }
    row.epoch += 1;
    row.lease = { ...row.key, owner, epoch: row.epoch, expires: this.#after(ttlMs) };
    return { ...row.lease };
  }

  async renewLease(lease: Lease, ttlMs: number): Promise<Lease> {
    const row = this.#row(lease);
    const running = this.#running(row);
    if (running?.epoch !== lease.epoch || running.owner !== lease.owner) throw leaseLost(lease);
    row.lease = { ...running, expires: this.#after(ttlMs) };
    return { ...row.lease };
  }

  async releaseLease(lease: Lease): Promise<void> {
    const row = this.#row(lease);
    if (row.lease?.epoch === lease.epoch && row.lease.owner === lease.owner) row.lease = undefined;
  }

  /** Ends every watch with `unavailable`; nothing is kept. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const row of this.#sessions.values()) row.changed.resolve();
  }

  #store(row: Row, epoch: number, actor: string, bodies: EventBody[]): Event[] {
    const first = row.events.length + 1;
    const now = this.#clock.now();
    for (const [index, body] of bodies.entries()) {
      const seq = first + index;
      row.events.push(toBinary(EventSchema, create(EventSchema, { seq, time: timestampFromDate(now), epoch, actor, body })));
      const name = inputKey(body);
      if (name !== undefined && !row.inputs.has(name)) row.inputs.set(name, seq);
    }
    row.updated = now;
    row.turn = turnChange(bodies) ?? row.turn;
    row.changed.resolve();
    row.changed = Promise.withResolvers();
    return this.#read(row, first, bodies.length);
  }

  #read(row: Row, fromSeq: number, limit: number): Event[] {
    const start = Math.max(0, fromSeq - 1);
    return row.events.slice(start, start + limit).map((bytes) => fromBinary(EventSchema, bytes));
  }

  #row(key: SessionKey): Row {
    this.#mustBeOpen();
    const row = this.#sessions.get(rowId(key));
    if (row === undefined) {
      throw new GuildError("not_found", `no session ${key.session}`, {
        subject: key.session,
        remedy: "`guild session list` shows what there is",
      });
    }
    return row;
  }

  #record(row: Row): SessionRecord {
    const lease = this.#running(row);
    return {
      ...row.key,
      title: row.title,
      workspace: row.workspace,
      parent: row.parent,
      lastSeq: row.events.length,
      created: row.created,
      updated: row.updated,
      epoch: row.epoch,
      leaseOwner: lease?.owner,
      leaseExpires: row.lease?.expires,
      ...row.turn,
    };
  }

  #running(row: Row): Lease | undefined {
    return row.lease !== undefined && row.lease.expires > this.#clock.now() ? row.lease : undefined;
  }

  #after(ttlMs: number): Date {
    return new Date(this.#clock.now().getTime() + ttlMs);
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new GuildError("unavailable", "the event log is closed");
  }
}

interface Row {
  key: SessionKey;
  title: string;
  workspace: string;
  parent: string | undefined;
  order: number;
  created: Date;
  updated: Date;
  epoch: number;
  lease: Lease | undefined;
  turn: Pick<SessionRecord, "turnOpen" | "lastTurnEnd">;
  events: Uint8Array[];
  /** Sequence of each input that has an identity of its own. */
  inputs: Map<string, number>;
  /** Replaced at every append; resolving wakes the watchers. */
  changed: PromiseWithResolvers<void>;
}

function rowId(key: SessionKey): string {
  return JSON.stringify([key.tenant, key.session]);
}

function leaseLost(key: SessionKey): GuildError {
  return new GuildError("lease_lost", `the lease on session ${key.session} is over`, { subject: key.session });
}

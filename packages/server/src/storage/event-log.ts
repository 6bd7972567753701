import { randomUUID } from "node:crypto";

import {
  type Append,
  type Clock,
  type Event,
  type EventBody,
  type EventLog,
  type FaultPoints,
  GuildError,
  type Lease,
  type NewSession,
  type SessionKey,
  type SessionRecord,
} from "@guildhall/core";
import type { PoolClient, QueryConfig } from "pg";

import type { Database } from "./database.ts";
import { type EncodedEvents, encodeEvents, slicesOf, textColumn } from "./event-codec.ts";
import { readEvents } from "./event-rows.ts";
import { GroupCommit, leaseLost, sessionNotFound } from "./group-commit.ts";
import { InputAppends } from "./input-appends.ts";
import { LogConnection } from "./log-connection.ts";
import * as sql from "./log-statements.ts";
import { type SessionRow, toSessionRecord } from "./session-row.ts";
import { SessionTails, type Tail } from "./session-tails.ts";

const PAGE = 128;
const LONGEST_NAME = 512;
const POLL_MS = 250;

export interface PostgresEventLogOptions {
  database: Database;
  clock?: Pick<Clock, "now">;
  faults?: FaultPoints;
  /** False: ask for what others append instead of hearing of it, as on a database without LISTEN. Default: what the database can. */
  listen?: boolean;
}

/**
 * The event log in PostgreSQL. Appends of all sessions share transactions ({@link GroupCommit}); watchers are served from memory while
 * they keep up, and from the store when not. What another process appends is heard of through NOTIFY, or by asking four times a
 * second on a database without it. Leases run by the database's clock.
 *
 * `unavailable` from an append means that its fate is open: it is in the log whole or not at all, as a read will tell.
 * Events that `append` and `watch` give out are shared: do not change them.
 */
export class PostgresEventLog implements EventLog {
  readonly #database: Database;
  readonly #clock: Pick<Clock, "now">;
  readonly #faults: FaultPoints | undefined;
  readonly #origin = randomUUID();
  readonly #tails = new SessionTails();
  readonly #connection: LogConnection;
  readonly #commits: GroupCommit;
  readonly #inputs: InputAppends;
  #polling: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PostgresEventLogOptions) {
    this.#database = options.database;
    this.#clock = options.clock ?? { now: () => new Date() };
    this.#faults = options.faults;
    this.#connection = new LogConnection({
      database: options.database,
      origin: this.#origin,
      listen: options.listen ?? true,
      onNotice: (key, seq) => this.#tails.learn(key, seq),
      onConnected: () => this.#catchUp(),
      wanted: () => this.#tails.followed.length > 0,
    });
    const appending = {
      database: options.database,
      connection: this.#connection,
      origin: this.#origin,
      onStored: (key: SessionKey, events: Event[]) => this.#tails.publish(key, events),
    };
    this.#commits = new GroupCommit(appending);
    this.#inputs = new InputAppends(appending);
  }

  /** Connects ahead of the first append, which does it otherwise. */
  async connect(): Promise<void> {
    await this.#connection.client();
  }

  /** Has others of this database heard on the connection that hears of appends; see {@link LogConnection.hear}. */
  async hear(channel: string, heard: (payload: string) => void, connected: () => void): Promise<void> {
    await this.#connection.hear(channel, heard, connected);
  }

  async createSession(session: NewSession): Promise<SessionRecord> {
    const query = this.#creation(session);
    await this.#faults?.hit("create:before");
    const [made] = await this.#database.write<SessionRow>(query);
    await this.#faults?.hit("create:after");
    if (made !== undefined) return toSessionRecord(made);
    if (session.requestId !== undefined) {
      const values = [session.tenant, session.requestId];
      const [first] = await this.#database.read<SessionRow>({ name: "guildhall-request", text: sql.SESSION_BY_REQUEST, values });
      if (first !== undefined) return toSessionRecord(first);
    }
    throw new GuildError("already_exists", `session ${session.session} exists already`, { subject: session.session });
  }

  /** Creates a session as part of the caller's transaction on `client`. Throws `already_exists`. */
  async createSessionWithin(client: PoolClient, session: NewSession): Promise<void> {
    const { rows } = await client.query(this.#creation(session));
    if (rows.length === 0)
      throw new GuildError("already_exists", `session ${session.session} exists already`, { subject: session.session });
  }

  #creation(session: NewSession): QueryConfig {
    for (const name of [session.tenant, session.session, session.requestId ?? "-"]) mustBeName(name);
    if (session.events[0]?.case !== "sessionStarted") {
      throw new GuildError("invalid_argument", "a session begins with SessionStarted", { subject: session.session });
    }
    const encoded = this.#encode(session.events, 0, session.actor);
    return {
      name: "guildhall-create",
      text: sql.CREATE_SESSION,
      values: [
        Buffer.concat(encoded.payloads),
        session.tenant,
        session.session,
        textColumn(session.title),
        textColumn(session.workspace),
        session.parent ?? null,
        session.requestId ?? null,
        encoded.events.length,
        encoded.turn === 1,
        encoded.reason,
        encoded.summary,
        ...slicesOf(encoded),
        encoded.keys.map(({ nth }) => nth),
        encoded.keys.map(({ key }) => key),
      ],
    };
  }

  async getSession(key: SessionKey): Promise<SessionRecord> {
    const values = [key.tenant, key.session];
    const [row] = await this.#database.read<SessionRow>({ name: "guildhall-session", text: sql.SESSION_BY_ID, values });
    if (row === undefined) throw sessionNotFound(key);
    return toSessionRecord(row);
  }

  async listSessions(query: { tenant: string; workspace?: string; limit: number; before?: string }): Promise<SessionRecord[]> {
    const values = [query.tenant, query.workspace ?? null, query.limit, query.before ?? null];
    const rows = await this.#database.read<SessionRow>({ name: "guildhall-list", text: sql.LIST_SESSIONS, values });
    if (rows.length === 0 && query.before !== undefined) await this.getSession({ tenant: query.tenant, session: query.before });
    return rows.map(toSessionRecord);
  }

  async append(append: Append): Promise<Event[]> {
    if (append.events.length === 0) throw new GuildError("invalid_argument", "an append needs events", { subject: append.session });
    const encoded = this.#encode(append.events, append.epoch, append.actor);
    const before = this.#faults?.hit("commit:before");
    if (before !== undefined) await before;
    const { tenant, session, expectedSeq, epoch } = append;
    const events = await this.#commits.append({ tenant, session, expectedSeq, epoch }, encoded);
    const after = this.#faults?.hit("commit:after");
    if (after !== undefined) await after;
    return events;
  }

  async appendInput(key: SessionKey, actor: string, events: EventBody[]): Promise<Event[]> {
    if (events.length === 0) throw new GuildError("invalid_argument", "an input needs events", { subject: key.session });
    await this.#faults?.hit("input:before");
    const stored = await this.#inputs.append(key, events, (fresh) => this.#encode(fresh, 0, actor));
    await this.#faults?.hit("input:after");
    return stored;
  }

  async read(key: SessionKey, fromSeq: number, limit: number): Promise<Event[]> {
    const events = await readEvents(this.#database, key, fromSeq, limit);
    // An empty answer may mean two things.
    if (events.length === 0) await this.getSession(key);
    return events;
  }

  async *watch(key: SessionKey, fromSeq: number, signal: AbortSignal): AsyncGenerator<Event[]> {
    if (signal.aborted) return;
    const tail = this.#tails.follow(key);
    const aborted = Promise.withResolvers<void>();
    const abort = () => aborted.resolve();
    signal.addEventListener("abort", abort, { once: true });
    try {
      // From here on nothing is missed: what is stored before the row is read shows in it, what comes after reaches the tail.
      await this.#connection.client();
      this.#pollIfDeaf();
      tail.learn((await this.getSession(key)).lastSeq);
      for (let next = Math.max(1, fromSeq); !signal.aborted;) {
        const { changed } = tail;
        const events = await this.#next(tail, next);
        if (events.length === 0) {
          await Promise.race([changed, aborted.promise]);
          continue;
        }
        next += events.length;
        yield events;
      }
    } finally {
      signal.removeEventListener("abort", abort);
      tail.leave();
    }
  }

  async acquireLease(key: SessionKey, owner: string, ttlMs: number, options: { takeover?: boolean } = {}): Promise<Lease> {
    const values = [key.tenant, key.session, owner, ttlMs, options.takeover === true];
    const [row] = await this.#database.write<LeaseRow>({ name: "guildhall-acquire", text: sql.ACQUIRE_LEASE, values });
    if (row !== undefined) return toLease(key, owner, row);
    await this.#database.write({ name: "guildhall-cut", text: sql.CUT_LEASE, values: [key.tenant, key.session] });
    const { leaseOwner } = await this.getSession(key);
    throw new GuildError("failed_precondition", `session ${key.session} is being worked on by ${leaseOwner ?? "another"}`, {
      subject: key.session,
      remedy: "wait until it is done, or interrupt it",
    });
  }

  async renewLease(lease: Lease, ttlMs: number): Promise<Lease> {
    const values = [lease.tenant, lease.session, lease.owner, ttlMs, lease.epoch];
    const [row] = await this.#database.write<LeaseRow>({ name: "guildhall-renew", text: sql.RENEW_LEASE, values });
    if (row !== undefined) return toLease(lease, lease.owner, row);
    await this.getSession(lease);
    throw leaseLost(lease);
  }

  async releaseLease(lease: Lease): Promise<void> {
    const values = [lease.tenant, lease.session, lease.owner, lease.epoch];
    await this.#database.write({ name: "guildhall-release", text: sql.RELEASE_LEASE, values });
  }

  /** Waits for appends under way; watches end with `unavailable`. The database stays open. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#polling);
    await this.#commits.idle();
    this.#tails.wakeAll();
    await this.#connection.close();
  }

  #encode(bodies: EventBody[], epoch: number, actor: string): EncodedEvents {
    if (this.#closed) throw new GuildError("unavailable", "the event log is closed");
    return encodeEvents(bodies, { time: this.#clock.now(), epoch, actor });
  }

  async #next(tail: Tail, seq: number): Promise<Event[]> {
    if (this.#closed) throw new GuildError("unavailable", "the event log is closed");
    const kept = tail.from(seq);
    if (kept.length > 0 || seq > tail.known) return kept;
    return readEvents(this.#database, tail.key, seq, PAGE);
  }

  /** On a connection without NOTIFY: asks for what others appended, as long as somebody watches. */
  #pollIfDeaf(): void {
    if (this.#connection.notifies || this.#polling !== undefined) return;
    this.#polling = setInterval(() => this.#catchUp(), POLL_MS).unref();
  }

  #catchUp(): void {
    const keys = this.#tails.followed;
    if (keys.length === 0) {
      clearInterval(this.#polling);
      this.#polling = undefined;
      return;
    }
    const values = [keys.map((key) => key.tenant), keys.map((key) => key.session)];
    this.#database.read<StateRow>({ name: "guildhall-state", text: sql.STATE_OF, values }).then(
      (rows) => {
        for (const row of rows) this.#tails.learn({ tenant: row.tenant_id, session: row.session_id }, Number(row.last_seq));
      },
      // The connection was lost again; the next one asks again.
      () => undefined,
    );
  }
}

interface StateRow {
  tenant_id: string;
  session_id: string;
  last_seq: number;
}

interface LeaseRow {
  epoch: number;
  lease_expires_at: Date;
}

function toLease(key: SessionKey, owner: string, row: LeaseRow): Lease {
  return { tenant: key.tenant, session: key.session, owner, epoch: Number(row.epoch), expires: row.lease_expires_at };
}

/** Names become part of notices, whose size the database bounds and whose parts are separated by line ends. */
function mustBeName(name: string): void {
  if (name !== "" && Buffer.byteLength(name) <= LONGEST_NAME && !/[\0\n]/.test(name)) return;
  throw new GuildError("invalid_argument", "a name is empty, too long or holds a line end", { subject: name.slice(0, 100) });
}

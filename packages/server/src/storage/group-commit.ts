import { GuildError, type Append, type Event, type SessionKey } from "@guildhall/core";
import type { Client } from "pg";

import type { Database } from "./database.ts";
import { type EncodedEvents, numbered } from "./event-codec.ts";
import type { LogConnection } from "./log-connection.ts";
import { appendStatement, STATE_OF } from "./log-statements.ts";
import { isConnectionLoss, isSerializationFailure, storageError } from "./sql-error.ts";

const MOST_APPENDS = 128;
const MOST_BYTES = 8 << 20;
const ATTEMPTS = 10;

export interface GroupCommitOptions {
  database: Database;
  connection: LogConnection;
  origin: string;
  /** Called in the order of each session's log, before the append resolves. */
  onStored: (key: SessionKey, events: Event[]) => void;
}

/**
 * Appends of all sessions through one connection. While one transaction is on its way to disk the next ones gather, so that the cost of
 * a commit is shared by all that wait; one alone is sent at once. Each is still refused or stored by itself.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #waiting: Pending[] = [];
  #running: Promise<void> | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Resolves with the events once they are on disk. */
  append(append: Omit<Append, "events" | "actor">, encoded: EncodedEvents): Promise<Event[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Event[]>();
    this.#waiting.push({ append, encoded, resolve, reject, attempts: 0 });
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // What is appended in the same turn of the event loop goes together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#commit(this.#take());
    this.#running = undefined;
  }

  /** The longest waiting, one a session: a session's second append must see its first. */
  #take(): Pending[] {
    const batch: Pending[] = [];
    const rest: Pending[] = [];
    const sessions = new Set<string>();
    let bytes = 0;
    for (const pending of this.#waiting) {
      const name = `${pending.append.tenant}\n${pending.append.session}`;
      bytes += pending.encoded.bytes;
      const full = batch.length > 0 && (batch.length === MOST_APPENDS || bytes > MOST_BYTES);
      if (full || sessions.has(name)) rest.push(pending);
      else batch.push(pending);
      sessions.add(name);
    }
    this.#waiting = rest;
    return batch;
  }

  async #commit(batch: Pending[]): Promise<void> {
    let client: Client;
    try {
      client = await this.#options.connection.client();
    } catch (error) {
      for (const pending of batch) pending.reject(storageError(error));
      return;
    }
    try {
      const { rows } = await client.query<{ op: number }>(this.#statement(batch));
      const stored = new Set(rows.map((row) => Number(row.op)));
      for (const [op, pending] of batch.entries()) if (stored.has(op)) this.#resolve(pending);
      if (stored.size < batch.length) await this.#refuse(batch.filter((_, op) => !stored.has(op)));
    } catch (error) {
      await this.#failed(batch, error);
    }
  }

  #resolve({ append, encoded, resolve }: Pending): void {
    const events = numbered(encoded.events, append.expectedSeq + 1);
    this.#options.onStored(append, events);
    resolve(events);
  }

  async #failed(batch: Pending[], error: unknown): Promise<void> {
    if (isSerializationFailure(error)) return this.#again(batch, error);
    if (batch.length === 1 || isConnectionLoss(error)) {
      for (const { reject } of batch) reject(storageError(error));
      return;
    }
    // Something in one of them is wrong: the others must not suffer for it.
    for (const pending of batch) await this.#commit([pending]);
  }

  #again(batch: Pending[], error: unknown): void {
    const [lasting, spent] = [batch.filter((one) => one.attempts < ATTEMPTS), batch.filter((one) => one.attempts >= ATTEMPTS)];
    for (const pending of lasting) pending.attempts++;
    for (const { reject } of spent) reject(storageError(error));
    this.#waiting.unshift(...lasting);
  }

  /** Says to each why it was not stored. */
  async #refuse(refused: Pending[]): Promise<void> {
    try {
      const states = await this.#options.database.read<State>({
        name: "guildhall-state",
        text: STATE_OF,
        values: [refused.map(({ append }) => append.tenant), refused.map(({ append }) => append.session)],
      });
      for (const pending of refused) {
        const { append } = pending;
        const state = states.find((row) => row.tenant_id === append.tenant && row.session_id === append.session);
        const error = refusal(append, state);
        if (error === undefined)
          this.#again([pending], new GuildError("unavailable", "the session is too busy", { subject: append.session }));
        else pending.reject(error);
      }
    } catch (error) {
      for (const { reject } of refused) reject(storageError(error));
    }
  }

  #statement(batch: Pending[]) {
    const events = { op: [] as number[], nth: [] as number[], start: [] as number[], length: [] as number[] };
    const keys = { op: [] as number[], nth: [] as number[], key: [] as string[] };
    const payloads: Uint8Array[] = [];
    let start = 1;
    for (const [op, { encoded }] of batch.entries()) {
      for (const [index, payload] of encoded.payloads.entries()) {
        payloads.push(payload);
        events.op.push(op);
        events.nth.push(index + 1);
        events.start.push(start);
        events.length.push(payload.length);
        start += payload.length;
      }
      for (const { nth, key } of encoded.keys) {
        keys.op.push(op);
        keys.nth.push(nth);
        keys.key.push(key);
      }
    }
    const ends = batch.some(({ encoded }) => encoded.turn === 2);
    const options = { notify: this.#options.connection.notifies, keys: keys.op.length > 0, ends };
    const values: unknown[] = [
      this.#options.origin,
      Buffer.concat(payloads),
      batch.map((_, op) => op),
      batch.map(({ append }) => append.tenant),
      batch.map(({ append }) => append.session),
      batch.map(({ append }) => append.expectedSeq),
      batch.map(({ append }) => append.epoch),
      batch.map(({ encoded }) => encoded.events.length),
      batch.map(({ encoded }) => encoded.turn),
      batch.map(({ encoded }) => encoded.reason),
      batch.map(({ encoded }) => encoded.summary),
      events.op,
      events.nth,
      events.start,
      events.length,
    ];
    if (options.keys) values.push(keys.op, keys.nth, keys.key);
    return { name: `guildhall-append-${options.notify}-${options.keys}-${ends}`, text: appendStatement(options), values };
  }
}

interface Pending {
  append: Omit<Append, "events" | "actor">;
  encoded: EncodedEvents;
  resolve: (events: Event[]) => void;
  reject: (error: GuildError) => void;
  attempts: number;
}

interface State {
  tenant_id: string;
  session_id: string;
  last_seq: number;
  epoch: number;
  leased: boolean;
}

/** Undefined when nothing speaks against it any more: it may be tried again. */
function refusal(append: Pending["append"], state: State | undefined): GuildError | undefined {
  if (state === undefined) return sessionNotFound(append);
  if (!state.leased || Number(state.epoch) !== append.epoch) return leaseLost(append);
  if (Number(state.last_seq) === append.expectedSeq) return undefined;
  return new GuildError("sequence_moved", `the log stands at ${state.last_seq}, not ${append.expectedSeq}`, { subject: append.session });
}

export function sessionNotFound(key: SessionKey): GuildError {
  return new GuildError("not_found", `no session ${key.session}`, {
    subject: key.session,
    remedy: "`guild session list` shows what there is",
  });
}

export function leaseLost(key: SessionKey): GuildError {
  return new GuildError("lease_lost", `the lease on session ${key.session} is over`, { subject: key.session });
}

import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { type EventBody, type EventLog, GuildError, type Lease, type SessionKey, type SessionRecord } from "@guildhall/core";
import { type Event, EventSchema } from "@guildhall/protocol";
import { type LeaseMessage, LogService, type RecordMessage } from "@guildhall/protocol/internal";

import { fromStatus } from "../rpc/from-status.ts";
import { patiently } from "./patiently.ts";
import { RemoteTails } from "./remote-tails.ts";

export interface RemoteLogOptions {
  /** For messages: where the log is. */
  peer: string;
  /** How long one call may take, milliseconds. Default 15,000. */
  timeoutMs?: number;
}

/**
 * The event log of another process, over the wire. Keeps the port's promises as long as that process does; calls that meet a lost connection are
 * made again for a while, an append after a look whether it is there. A watch whose connection breaks goes on by itself where it was, for as
 * long as the other side comes back within `timeoutMs`.
 */
export function remoteLog(transport: Transport, options: RemoteLogOptions): EventLog {
  const { peer, timeoutMs = 15_000 } = options;
  const client = createClient(LogService, transport);
  const closed = new AbortController();
  const callOptions = { timeoutMs, signal: closed.signal };
  const ask = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      throw meaning(error);
    }
  };
  const again = <T>(call: () => Promise<T>): Promise<T> => patiently(() => ask(call()), closed.signal);
  const page = async (key: SessionKey, fromSeq: number, limit: number): Promise<Event[]> => {
    const events: Event[] = [];
    try {
      for await (const part of client.read({ ref: refOf(key), fromSeq, limit }, callOptions)) events.push(...part.events);
    } catch (error) {
      throw meaning(error);
    }
    return events;
  };
  const meaning = (error: unknown): Error =>
    closed.signal.aborted ? new GuildError("unavailable", "the event log is closed", { cause: error }) : fromStatus(error, peer);

  /** Ends when `signal` aborts; goes on by itself after a break. */
  async function* follow(key: SessionKey, fromSeq: number, exceptEpoch: number, signal: AbortSignal): AsyncGenerator<Event[]> {
    const either = AbortSignal.any([signal, closed.signal]);
    for (let next = Math.max(1, fromSeq), since = performance.now(); !signal.aborted;) {
      try {
        for await (const { events } of client.watch({ ref: refOf(key), fromSeq: next, exceptEpoch }, { signal: either })) {
          since = performance.now();
          next = (events.at(-1)?.seq ?? next - 1) + 1;
          if (events.length > 0) yield events;
        }
        // The other side ends a watch only when it goes away itself.
        throw new GuildError("unavailable", "the watch was ended", { subject: peer });
      } catch (error) {
        if (signal.aborted) return;
        const meant = meaning(error);
        if (closed.signal.aborted || !GuildError.is(meant, "unavailable") || performance.now() - since > timeoutMs) throw meant;
        await pause(reconnectMs, either);
      }
    }
  }
  const getSession: EventLog["getSession"] = async (key) =>
    toRecord((await again(() => client.getRecord({ ref: refOf(key) }, callOptions))).record);
  const read: EventLog["read"] = (key, fromSeq, limit) => patiently(() => page(key, fromSeq, limit), closed.signal);
  const tails = new RemoteTails({ getSession, read, follow });

  return {
    async createSession({ tenant, session, title, workspace, parent = "", actor, events, requestId = "" }) {
      const ref = { tenant, session };
      const request = { ref, title, workspace, parent, actor, events: wrap(events), requestId };
      return toRecord((await ask(client.createRecord(request, callOptions))).record);
    },
    getSession,
    listSessions: async (query) => (await again(() => client.listRecords(query, callOptions))).records.map(toRecord),
    async append({ expectedSeq, epoch, actor, events, ...key }) {
      const request = { ref: refOf(key), expectedSeq, epoch, actor, events: wrap(events) };
      let open = false;
      const stored = await patiently(async () => {
        // Of an epoch there is one writer: what stands there under ours is what was sent when the line broke.
        const there = open ? await page(key, expectedSeq + 1, events.length) : [];
        if (there[0]?.epoch === epoch) return there;
        open = true;
        return (await ask(client.append(request, callOptions))).events;
      }, closed.signal);
      for (const [index, event] of stored.entries()) event.body = events[index] ?? event.body;
      tails.appended(key, stored);
      return stored;
    },
    appendInput: async (key, actor, events) =>
      (await ask(client.appendInput({ ref: refOf(key), actor, events: wrap(events) }, callOptions))).events,
    read,
    watch: (key, fromSeq, signal) => tails.watch(key, fromSeq, signal),
    async acquireLease(key, owner, ttlMs, { takeover = false } = {}) {
      const lease = toLease((await again(() => client.acquireLease({ ref: refOf(key), owner, ttlMs, takeover }, callOptions))).lease);
      tails.leased(key, lease.epoch);
      return lease;
    },
    async renewLease(lease, ttlMs) {
      // An answer that comes when the lease is over is of no use.
      const options = { ...callOptions, timeoutMs: Math.round(Math.min(timeoutMs, Math.max(500, ttlMs / 3))) };
      return toLease((await ask(client.renewLease({ lease: fromLease(lease), ttlMs }, options))).lease);
    },
    async releaseLease(lease) {
      tails.released(lease, lease.epoch);
      await ask(client.releaseLease({ lease: fromLease(lease) }, callOptions));
    },
    close: async () => closed.abort(),
  };
}

const reconnectMs = 200;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const wake = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) wake();
    else signal.addEventListener("abort", wake, { once: true });
  });
}

function refOf({ tenant, session }: SessionKey): SessionKey {
  return { tenant, session };
}

function wrap(events: EventBody[]): Event[] {
  return events.map((body) => create(EventSchema, { body }));
}

function toRecord(message: RecordMessage | undefined): SessionRecord {
  if (message?.ref === undefined) throw new GuildError("internal", "the answer holds no session");
  const { ref, lastTurnEnd, leaseExpires } = message;
  return {
    tenant: ref.tenant,
    session: ref.session,
    title: message.title,
    workspace: message.workspace,
    parent: message.parent === "" ? undefined : message.parent,
    lastSeq: message.lastSeq,
    created: dateOf(message.created),
    updated: dateOf(message.updated),
    epoch: message.epoch,
    leaseOwner: message.leaseOwner === "" ? undefined : message.leaseOwner,
    leaseExpires: leaseExpires === undefined ? undefined : timestampDate(leaseExpires),
    lastTurnEnd: lastTurnEnd === undefined ? undefined : { reason: lastTurnEnd.reason, summary: lastTurnEnd.summary },
    turnOpen: message.turnOpen,
  };
}

function dateOf(timestamp: RecordMessage["created"]): Date {
  return timestamp === undefined ? new Date(0) : timestampDate(timestamp);
}

function toLease(message: LeaseMessage | undefined): Lease {
  if (message?.ref === undefined) throw new GuildError("internal", "the answer holds no lease");
  const { ref, owner, epoch, expires } = message;
  return { tenant: ref.tenant, session: ref.session, owner, epoch, expires: dateOf(expires) };
}

function fromLease({ owner, epoch, expires, ...key }: Lease): {
  ref: SessionKey;
  owner: string;
  epoch: number;
  expires: ReturnType<typeof timestampFromDate>;
} {
  return { ref: refOf(key), owner, epoch, expires: timestampFromDate(expires) };
}

import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type EventBody, type EventLog, GuildError, type Lease, type SessionKey, type SessionRecord } from "@guildhall/core";
import { type Event, EventSchema } from "@guildhall/protocol";
import type { LeaseMessage, LogService, RecordMessage, SessionRef } from "@guildhall/protocol/internal";

/** An event log for processes that hold none: `remoteLog` is its other end. */
export function logService(log: EventLog): ServiceImpl<typeof LogService> {
  return {
    async createRecord({ ref, title, workspace, parent, actor, events, requestId }) {
      const optional = { ...(parent === "" ? {} : { parent }), ...(requestId === "" ? {} : { requestId }) };
      return {
        record: fromRecord(await log.createSession({ ...keyOf(ref), title, workspace, actor, events: bodiesOf(events), ...optional })),
      };
    },
    getRecord: async ({ ref }) => ({ record: fromRecord(await log.getSession(keyOf(ref))) }),
    async listRecords({ tenant, workspace, limit, before }) {
      const optional = { ...(workspace === undefined ? {} : { workspace }), ...(before === undefined ? {} : { before }) };
      return { records: (await log.listSessions({ tenant, limit, ...optional })).map(fromRecord) };
    },
    async append({ ref, expectedSeq, epoch, actor, events }) {
      const stored = await log.append({ ...keyOf(ref), expectedSeq, epoch, actor, events: bodiesOf(events) });
      return { events: stored.map(positionOf) };
    },
    appendInput: async ({ ref, actor, events }) => ({ events: await log.appendInput(keyOf(ref), actor, bodiesOf(events)) }),
    async *read({ ref, fromSeq, limit }) {
      const key = keyOf(ref);
      // In pages, so that no message passes its limit.
      for (let from = fromSeq, left = limit; ;) {
        const page = await log.read(key, from, Math.min(left, pageSize));
        for (const events of portions(page)) yield { events };
        left -= page.length;
        from = (page.at(-1)?.seq ?? from) + 1;
        if (page.length < pageSize || left <= 0) return;
      }
    },
    async *watch({ ref, fromSeq, exceptEpoch }, context) {
      const key = keyOf(ref);
      const { lastSeq } = await log.getSession(key);
      if (lastSeq < fromSeq) yield { events: [] };
      for await (const batch of log.watch(key, fromSeq, context.signal)) {
        if (exceptEpoch > 0 && batch.every(({ epoch }) => epoch === exceptEpoch)) continue;
        for (const events of portions(batch)) yield { events };
      }
    },
    acquireLease: async ({ ref, owner, ttlMs, takeover }) => ({
      lease: fromLease(await log.acquireLease(keyOf(ref), owner, ttlMs, { takeover })),
    }),
    renewLease: async ({ lease, ttlMs }) => ({ lease: fromLease(await log.renewLease(toLease(lease), ttlMs)) }),
    async releaseLease({ lease }) {
      await log.releaseLease(toLease(lease));
      return {};
    },
  };
}

const pageSize = 256;
/** Of the events in one message, bytes. */
const portionBytes = 4 << 20;

function portions(events: Event[]): Event[][] {
  const parts: Event[][] = [];
  let size = portionBytes;
  for (const event of events) {
    const own = roughSize(event);
    if (size + own > portionBytes) {
      parts.push([]);
      size = 0;
    }
    size += own;
    parts.at(-1)?.push(event);
  }
  return parts;
}

/** Characters of the strings that may be long; the rest is small. */
function roughSize({ body }: Event): number {
  let size = 500;
  const visit = (value: unknown, depth: number): void => {
    if (typeof value === "string") size += value.length;
    else if (Array.isArray(value)) for (const one of value) visit(one, depth);
    else if (typeof value === "object" && value !== null && depth < 4) for (const one of Object.values(value)) visit(one, depth + 1);
  };
  visit(body.value, 0);
  return size;
}

function keyOf(ref: SessionRef | undefined): SessionKey {
  if (ref === undefined) throw new GuildError("invalid_argument", "the request names no session");
  return { tenant: ref.tenant, session: ref.session };
}

function bodiesOf(events: Event[]): EventBody[] {
  return events.map(({ body }) => {
    if (body.case === undefined) throw new GuildError("version_mismatch", "an event of a kind that this version does not know");
    return body;
  });
}

/** What the caller does not know yet of what it sent. */
function positionOf({ seq, time, epoch, actor }: Event): Event {
  return create(EventSchema, { seq, epoch, actor, ...(time === undefined ? {} : { time }) });
}

function fromRecord(
  record: SessionRecord,
): Omit<RecordMessage, "$typeName" | "$unknown" | "ref" | "lastTurnEnd"> & Record<string, unknown> {
  const { leaseExpires, lastTurnEnd } = record;
  return {
    ref: { tenant: record.tenant, session: record.session },
    title: record.title,
    workspace: record.workspace,
    parent: record.parent ?? "",
    lastSeq: record.lastSeq,
    created: timestampFromDate(record.created),
    updated: timestampFromDate(record.updated),
    epoch: record.epoch,
    leaseOwner: record.leaseOwner ?? "",
    turnOpen: record.turnOpen,
    ...(leaseExpires === undefined ? {} : { leaseExpires: timestampFromDate(leaseExpires) }),
    ...(lastTurnEnd === undefined ? {} : { lastTurnEnd }),
  };
}

function fromLease(lease: Lease): {
  ref: { tenant: string; session: string };
  owner: string;
  epoch: number;
  expires: LeaseMessage["expires"] & object;
} {
  const { tenant, session, owner, epoch } = lease;
  return { ref: { tenant, session }, owner, epoch, expires: timestampFromDate(lease.expires) };
}

function toLease(lease: LeaseMessage | undefined): Lease {
  if (lease?.ref === undefined) throw new GuildError("invalid_argument", "the request names no lease");
  const { owner, epoch, expires } = lease;
  return { ...keyOf(lease.ref), owner, epoch, expires: expires === undefined ? new Date(0) : timestampDate(expires) };
}

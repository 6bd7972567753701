import { fromBinary } from "@bufbuild/protobuf";
import type { SessionKey } from "@guildhall/core";
import { type Event, EventSchema } from "@guildhall/protocol";
import type { QueryConfig } from "pg";

import type { Database } from "./database.ts";
import { EVENTS_AT, READ_EVENTS } from "./log-statements.ts";

/** At most `limit` events from `fromSeq` on, in order. */
export function readEvents(database: Database, key: SessionKey, fromSeq: number, limit: number): Promise<Event[]> {
  return select(database, { name: "guildhall-read", text: READ_EVENTS, values: [key.tenant, key.session, fromSeq, limit] });
}

/** The events at `seqs`, in no order. */
export async function readEventsAt(database: Database, key: SessionKey, seqs: number[]): Promise<Event[]> {
  if (seqs.length === 0) return [];
  return select(database, { name: "guildhall-at", text: EVENTS_AT, values: [key.tenant, key.session, seqs] });
}

async function select(database: Database, query: QueryConfig): Promise<Event[]> {
  const rows = await database.read<{ seq: number; payload: Buffer }>(query);
  return rows.map(({ seq, payload }) => {
    // A plain view: unknown fields keep slices of it, which must be the same kind of bytes everywhere.
    const event = fromBinary(EventSchema, new Uint8Array(payload.buffer, payload.byteOffset, payload.length));
    event.seq = Number(seq);
    return event;
  });
}

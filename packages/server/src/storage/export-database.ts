import type { BlobStore } from "@guildhall/core";

import type { Database } from "./database.ts";
import { PORTABLE_FORMAT, type PortableEvent, type PortableSession } from "./portable-copy.ts";
import { knowledgeRows } from "./portable-knowledge.ts";

const SESSIONS = 100;
const EVENTS = 256;

/**
 * The whole database as a portable copy. What is appended meanwhile may be missing, but every session is copied up to one point, and
 * every blob that its events name comes after them.
 */
export async function* exportDatabase(database: Database, blobs: BlobStore): AsyncGenerator<Uint8Array> {
  const counts = { sessions: 0, events: 0, blobs: 0, operations: 0, crossings: 0 };
  yield line({ guildhall: "export", format: PORTABLE_FORMAT, created: new Date().toISOString() });
  for await (const session of sessions(database)) {
    counts.sessions++;
    yield line({ session });
    for await (const page of events(database, session)) {
      counts.events += page.length;
      yield Buffer.concat(page.map(line));
    }
  }
  for await (const { digest, size } of blobs.list()) {
    counts.blobs++;
    yield line({ blob: digest, size });
    for await (const chunk of blobs.get(digest)) yield line({ chunk: Buffer.from(chunk).toString("base64") });
  }
  for await (const row of knowledgeRows(database)) {
    if ("operation" in row) counts.operations++;
    else counts.crossings++;
    yield line(row);
  }
  yield line({ end: counts });
}

async function* sessions(database: Database): AsyncGenerator<PortableSession> {
  for (let after: [string, string] = ["", ""]; ;) {
    const rows = await database.read<SessionRow>({
      text: `
        SELECT tenant_id, session_id, title, workspace, parent_id, request_id, created_at::text AS created, updated_at::text AS updated,
          last_seq, epoch, turn_open, turn_end_reason, turn_end_summary
        FROM guildhall.session WHERE (tenant_id, session_id) > ($1, $2) ORDER BY tenant_id, session_id LIMIT $3`,
      values: [...after, SESSIONS],
    });
    for (const row of rows) {
      after = [row.tenant_id, row.session_id];
      yield {
        tenant: row.tenant_id,
        session: row.session_id,
        title: row.title,
        workspace: row.workspace,
        parent: row.parent_id,
        requestId: row.request_id,
        created: row.created,
        updated: row.updated,
        lastSeq: Number(row.last_seq),
        epoch: Number(row.epoch),
        turnOpen: row.turn_open,
        turnEnd: row.turn_end_reason === null ? null : { reason: Number(row.turn_end_reason), summary: row.turn_end_summary ?? "" },
      };
    }
    if (rows.length < SESSIONS) return;
  }
}

async function* events(database: Database, session: PortableSession): AsyncGenerator<PortableEvent[]> {
  for (let next = 1; next <= session.lastSeq;) {
    const rows = await database.read<EventRow>({
      name: "guildhall-export",
      text: `
        SELECT seq, payload, key_id FROM guildhall.event
        WHERE tenant_id = $1 AND session_id = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq LIMIT $5`,
      values: [session.tenant, session.session, next, session.lastSeq, EVENTS],
    });
    if (rows.length === 0) return;
    next += rows.length;
    yield rows.map((row) => ({
      event: Number(row.seq),
      data: row.payload.toString("base64"),
      ...(row.key_id === null ? {} : { key: row.key_id }),
    }));
  }
}

interface SessionRow {
  tenant_id: string;
  session_id: string;
  title: string;
  workspace: string;
  parent_id: string | null;
  request_id: string | null;
  created: string;
  updated: string;
  last_seq: number;
  epoch: number;
  turn_open: boolean;
  turn_end_reason: number | null;
  turn_end_summary: string | null;
}

interface EventRow {
  seq: number;
  payload: Buffer;
  key_id: string | null;
}

function line(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

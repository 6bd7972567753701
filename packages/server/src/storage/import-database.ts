import { fromBinary } from "@bufbuild/protobuf";
import { type BlobStore, type EventBody, GuildError, inputKey } from "@guildhall/core";
import { EventSchema } from "@guildhall/protocol";
import type { PoolClient } from "pg";

import { CopyReader } from "./copy-reader.ts";
import type { Database } from "./database.ts";
import { storedKey } from "./event-codec.ts";
import { damaged, type PortableEvent, type PortableSession } from "./portable-copy.ts";
import { importCrossing, importOperations } from "./portable-knowledge.ts";

const PAGE = 256;

/** What a copy held and what of it was new here. */
export interface ImportSummary {
  sessions: number;
  events: number;
  blobs: number;
  /** Of what is known. */
  operations: number;
  crossings: number;
  newEvents: number;
  newBlobs: number;
}

/**
 * Takes a portable copy in. What is here already is compared and left alone, so that an import may be repeated, and a later copy adds
 * what its sessions have grown by. A session comes whole or not at all.
 *
 * Throws `invalid_argument` for something that is no copy, `version_mismatch` for a newer one, `corrupt` for a damaged or cut one (the
 * sessions before the damage are here then), and `already_exists` for a session that went another way here.
 */
export async function importDatabase(database: Database, blobs: BlobStore, source: AsyncIterable<Uint8Array>): Promise<ImportSummary> {
  const summary: ImportSummary = { sessions: 0, events: 0, blobs: 0, operations: 0, crossings: 0, newEvents: 0, newBlobs: 0 };
  const copy = new CopyReader(source);
  await copy.header();
  for (;;) {
    const line = await copy.next();
    if (line === undefined) throw damaged("it ends too early");
    switch (line.is) {
      case "session":
        summary.newEvents += await database.transaction((client) => new SessionImport(client, line.session).run(copy));
        summary.events += line.session.lastSeq;
        summary.sessions++;
        break;
      case "blob":
        summary.newBlobs += await importBlob(blobs, line, copy);
        summary.blobs++;
        break;
      case "operation":
        summary.operations += await importOperations(database, line, copy);
        break;
      case "crossing":
        await importCrossing(database, line);
        summary.crossings++;
        break;
      case "end":
        for (const name of ["sessions", "events", "blobs", "operations", "crossings"] as const) {
          if (line.end[name] !== summary[name]) throw damaged(`it should hold ${line.end[name]} ${name}, not ${summary[name]}`);
        }
        return summary;
      default:
        throw damaged(`line ${copy.number} belongs to nothing`);
    }
  }
}

/** One session's way in, inside a transaction. */
class SessionImport {
  readonly #client: PoolClient;
  readonly #session: PortableSession;
  readonly #key: [string, string];

  constructor(client: PoolClient, session: PortableSession) {
    this.#client = client;
    this.#session = session;
    this.#key = [session.tenant, session.session];
  }

  /** Answers with the number of events that were new. */
  async run(copy: CopyReader): Promise<number> {
    const had = await this.#row();
    let seq = 0;
    while (seq < this.#session.lastSeq) {
      const page = await copy.events(Math.min(PAGE, this.#session.lastSeq - seq));
      if (page.length === 0) throw damaged(`session ${this.#session.session} ends at event ${seq} of ${this.#session.lastSeq}`);
      for (const { event } of page) if (event !== ++seq) throw damaged(`session ${this.#session.session} lacks event ${seq}`);
      await this.#compare(page.filter(({ event }) => event <= had));
      await this.#insert(page.filter(({ event }) => event > had));
    }
    if (had > 0 && seq > had) await this.#advance();
    return Math.max(0, seq - had);
  }

  /** Makes the session's row or locks it; answers with the last sequence that is here. */
  async #row(): Promise<number> {
    const it = this.#session;
    const make = (requestId: string | null) =>
      this.#client.query(
        `INSERT INTO guildhall.session (tenant_id, session_id, title, workspace, parent_id, request_id, created_at, updated_at, last_seq, epoch,
           turn_open, turn_end_reason, turn_end_summary)
         VALUES ($1, $2, $3, $4, $5, $6, $7::timestamptz, $8::timestamptz, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`,
        [
          ...this.#key,
          it.title,
          it.workspace,
          it.parent,
          requestId,
          it.created,
          it.updated,
          it.lastSeq,
          it.epoch,
          it.turnOpen,
          it.turnEnd?.reason ?? null,
          it.turnEnd?.summary ?? null,
        ],
      );
    if ((await make(it.requestId)).rowCount === 1) return 0;
    const { rows } = await this.#client.query<{ last_seq: number }>(
      "SELECT last_seq FROM guildhall.session WHERE tenant_id = $1 AND session_id = $2 FOR UPDATE",
      this.#key,
    );
    if (rows[0] !== undefined) return Number(rows[0].last_seq);
    // Another session answers to its request id here.
    await make(null);
    return 0;
  }

  async #compare(events: PortableEvent[]): Promise<void> {
    const [first, last] = [events[0], events.at(-1)];
    if (first === undefined || last === undefined) return;
    const { rows } = await this.#client.query<{ seq: number; payload: Buffer }>(
      "SELECT seq, payload FROM guildhall.event WHERE tenant_id = $1 AND session_id = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq",
      [...this.#key, first.event, last.event],
    );
    for (const [index, { event, data }] of events.entries()) {
      if (rows[index]?.payload.equals(Buffer.from(data, "base64")) === true) continue;
      throw new GuildError("already_exists", `session ${this.#session.session} went another way here from event ${event} on`, {
        subject: this.#session.session,
        remedy: "import into an empty database",
      });
    }
  }

  async #insert(events: PortableEvent[]): Promise<void> {
    if (events.length === 0) return;
    const payloads = events.map(({ data }) => Buffer.from(data, "base64"));
    const starts: number[] = [];
    let start = 1;
    for (const payload of payloads) {
      starts.push(start);
      start += payload.length;
    }
    await this.#client.query(
      `INSERT INTO guildhall.event (tenant_id, session_id, seq, payload, key_id)
       SELECT $1::text, $2::text, e.seq, substring($3::bytea from e.start for e.length), e.key_id
       FROM unnest($4::int[], $5::int[], $6::int[], $7::text[]) AS e(seq, start, length, key_id)`,
      [
        ...this.#key,
        Buffer.concat(payloads),
        events.map(({ event }) => event),
        starts,
        payloads.map((payload) => payload.length),
        events.map(({ key }) => key ?? null),
      ],
    );
    const keys = events.flatMap(({ event, key }, index) => {
      const name = key === undefined ? keyOf(payloads[index] ?? Buffer.alloc(0), event) : undefined;
      return name === undefined ? [] : [{ name, event }];
    });
    if (keys.length === 0) return;
    await this.#client.query(
      `INSERT INTO guildhall.session_input (tenant_id, session_id, input_key, seq)
       SELECT $1::text, $2::text, k.input_key, k.seq FROM unnest($3::text[], $4::int[]) AS k(input_key, seq) ON CONFLICT DO NOTHING`,
      [...this.#key, keys.map(({ name }) => name), keys.map(({ event }) => event)],
    );
  }

  /** The session has grown since it came here first. */
  async #advance(): Promise<void> {
    const it = this.#session;
    await this.#client.query(
      `UPDATE guildhall.session SET last_seq = $3, updated_at = $4::timestamptz, epoch = GREATEST(epoch, $5),
         turn_open = $6, turn_end_reason = $7, turn_end_summary = $8
       WHERE tenant_id = $1 AND session_id = $2`,
      [...this.#key, it.lastSeq, it.updated, it.epoch, it.turnOpen, it.turnEnd?.reason ?? null, it.turnEnd?.summary ?? null],
    );
  }
}

function keyOf(payload: Uint8Array, seq: number): string | undefined {
  try {
    const { body } = fromBinary(EventSchema, payload);
    const key = body.case === undefined ? undefined : inputKey(body satisfies EventBody);
    return key === undefined ? undefined : storedKey(key);
  } catch (error) {
    throw damaged(`event ${seq} is none: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** 1 when it was new. */
async function importBlob(blobs: BlobStore, { blob, size }: { blob: string; size: number }, copy: CopyReader): Promise<number> {
  if (await blobs.has(blob)) {
    if ((await copy.skipChunks()) !== size) throw damaged(`blob ${blob} is not whole`);
    return 0;
  }
  const stored = await blobs.put(copy.chunks(), "application/octet-stream");
  // What was stored under its true name harms nobody.
  if (stored.digest !== blob || stored.size !== BigInt(size)) throw damaged(`blob ${blob} holds something else`);
  return 1;
}

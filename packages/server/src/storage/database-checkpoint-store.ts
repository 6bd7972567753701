import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { deflate, inflate } from "node:zlib";

import { type CheckpointStore, gitObjectId, type GitObjectKind, GuildError, reachableObjects } from "@guildhall/core";
import type { PoolClient } from "pg";

import type { Database } from "./database.ts";

export interface DatabaseCheckpointStoreOptions {
  database: Database;
  /** One store is one workspace's. */
  store: string;
  /** How long an object that was put or asked for is spared by `collect`, milliseconds. Default fifteen minutes. */
  graceMs?: number;
}

/** Of one statement. */
const MOST = { objects: 500, bytes: 4 << 20 };

/**
 * Git objects as rows, deflated, for orchestrators that share a database and no disk. Whoever builds on an object has marked it as used while no
 * collection runs: the two exclude each other by an advisory lock.
 */
export class DatabaseCheckpointStore implements CheckpointStore {
  readonly #database: Database;
  readonly #store: string;
  readonly #lock: string;
  readonly #graceMs: number;

  constructor({ database, store, graceMs = 15 * 60_000 }: DatabaseCheckpointStoreOptions) {
    this.#database = database;
    this.#store = store;
    this.#lock = createHash("sha256").update(`checkpoints\n${store}`).digest().readBigInt64BE().toString();
    this.#graceMs = graceMs;
  }

  async has(id: string): Promise<boolean> {
    return (await this.#use([id])).has(id);
  }

  async put(objects: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }>): Promise<{ storedBytes: number }> {
    const known = await this.#use(objects.map(({ id }) => id));
    const fresh = new Map(objects.filter(({ id }) => !known.has(id)).map((object) => [object.id, object]));
    if (fresh.size === 0) return { storedBytes: 0 };
    // Sorted, so that two that put the same do not wait for each other.
    const sorted = [...fresh.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    return await this.#database.transaction(async (client) => {
      await client.query("SELECT pg_advisory_xact_lock_shared($1)", [this.#lock]);
      let storedBytes = 0;
      let batch: Packed[] = [];
      let size = 0;
      for (const { id, kind, content } of sorted) {
        const packed = { id, kind, bytes: await deflated(content, { level: 1 }) };
        batch.push(packed);
        size += packed.bytes.length;
        if (size < MOST.bytes && batch.length < MOST.objects) continue;
        storedBytes += await this.#insert(client, batch);
        batch = [];
        size = 0;
      }
      return { storedBytes: storedBytes + (await this.#insert(client, batch)) };
    });
  }

  async get(id: string): Promise<{ kind: GitObjectKind; content: Uint8Array }> {
    const [row] = await this.#database.read<{ kind: string; content: Buffer }>({
      name: "guildhall-object",
      text: "SELECT kind, content FROM guildhall.checkpoint_object WHERE store = $1 AND object_id = $2",
      values: [this.#store, id],
    });
    if (row === undefined) throw new GuildError("not_found", `the checkpoint store has no object ${id}`, { subject: id });
    const kind: GitObjectKind = row.kind === "tree" ? "tree" : "blob";
    // What cannot be inflated is as wrong as what has another name.
    const content = await inflated(row.content).catch(() => undefined);
    if (content !== undefined && gitObjectId(kind, content) === id) return { kind, content };
    throw new GuildError("corrupt", `an object of the checkpoint store is not what it should be: ${id}`, { subject: id });
  }

  collect(roots: Iterable<string>): Promise<{ objects: number; bytes: number }> {
    return this.#database.transaction(async (client) => {
      await client.query("SELECT pg_advisory_xact_lock($1)", [this.#lock]);
      const { rows: recent } = await client.query<{ object_id: string }>(
        `SELECT object_id FROM guildhall.checkpoint_object WHERE store = $1 AND used_at > now() - ${MILLISECONDS("$2")}`,
        [this.#store, this.#graceMs],
      );
      const trees = await this.#trees(client);
      const spared = recent.map(({ object_id }) => object_id);
      const kept = await reachableObjects(
        [...roots, ...spared].filter((id) => trees.has(id)),
        async (id) => (trees.has(id) ? (await this.get(id)).content : undefined),
      );
      const { rows } = await client.query<{ objects: string; bytes: string }>(
        `WITH freed AS (DELETE FROM guildhall.checkpoint_object WHERE store = $1 AND NOT (object_id = ANY($2::text[]))
           RETURNING octet_length(content) AS bytes)
         SELECT count(*) AS objects, COALESCE(sum(bytes), 0) AS bytes FROM freed`,
        [this.#store, [...kept, ...spared]],
      );
      return { objects: Number(rows[0]?.objects ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
    });
  }

  async #trees(client: PoolClient): Promise<Set<string>> {
    const { rows } = await client.query<{ object_id: string }>(
      "SELECT object_id FROM guildhall.checkpoint_object WHERE store = $1 AND kind = 'tree'",
      [this.#store],
    );
    return new Set(rows.map(({ object_id }) => object_id));
  }

  /** Those of these that are there, marked as used; the mark is renewed seldom enough to cost reads only. */
  async #use(ids: string[]): Promise<Set<string>> {
    const rows = await this.#database.read<{ object_id: string; stale: boolean }>({
      name: "guildhall-object-has",
      text: `SELECT object_id, used_at < now() - ${MILLISECONDS("$3")} AS stale FROM guildhall.checkpoint_object
        WHERE store = $1 AND object_id = ANY($2::text[])`,
      values: [this.#store, ids, this.#graceMs / 3],
    });
    const stale = rows.filter((row) => row.stale).map(({ object_id }) => object_id);
    if (stale.length === 0) return new Set(rows.map(({ object_id }) => object_id));
    const marked = await this.#database.write<{ object_id: string }>({
      text: `WITH unhindered AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($3))
        UPDATE guildhall.checkpoint_object SET used_at = now() FROM unhindered WHERE store = $1 AND object_id = ANY($2::text[])
        RETURNING object_id`,
      values: [this.#store, stale, this.#lock],
    });
    // One that was stale may have been collected between the two.
    const left = new Set(marked.map(({ object_id }) => object_id));
    return new Set(rows.flatMap((row) => (!row.stale || left.has(row.object_id) ? [row.object_id] : [])));
  }

  async #insert(client: PoolClient, batch: Packed[]): Promise<number> {
    if (batch.length === 0) return 0;
    let start = 1;
    const starts = batch.map(({ bytes }) => (start += bytes.length) - bytes.length);
    const { rows } = await client.query<{ bytes: number }>(
      `INSERT INTO guildhall.checkpoint_object (store, object_id, kind, content, used_at)
       SELECT $1, o.id, o.kind, substring($2::bytea from o.start for o.length), now()
       FROM unnest($3::text[], $4::text[], $5::int[], $6::int[]) AS o(id, kind, start, length)
       ON CONFLICT DO NOTHING RETURNING octet_length(content) AS bytes`,
      [
        this.#store,
        Buffer.concat(batch.map(({ bytes }) => bytes)),
        batch.map(({ id }) => id),
        batch.map(({ kind }) => kind),
        starts,
        batch.map(({ bytes }) => bytes.length),
      ],
    );
    return rows.reduce((sum, { bytes }) => sum + Number(bytes), 0);
  }
}

interface Packed {
  id: string;
  kind: GitObjectKind;
  bytes: Buffer;
}

const deflated = promisify<Uint8Array, { level: number }, Buffer>(deflate);
const inflated = promisify<Uint8Array, Buffer>(inflate);

const MILLISECONDS = (parameter: string): string => `${parameter}::float8 * interval '1 millisecond'`;

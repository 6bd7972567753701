import { GuildError } from "@guildhall/core";
import type { PoolClient } from "pg";

import type { Database } from "./database.ts";
import { sqlState } from "./sql-error.ts";

/** One step of the schema. Steps are never changed once released; each must leave what the code of the step before needs. */
export interface Migration {
  version: number;
  /** Code that knows only this version can still work with the schema after this step: expand first, contract one release later. */
  compatibleFrom: number;
  /** Each may be run again after it has been run. SQL that PostgreSQL, YugabyteDB and CockroachDB take. */
  statements: string[];
}

export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    compatibleFrom: 1,
    statements: [
      `CREATE TABLE IF NOT EXISTS guildhall.session (
         tenant_id text NOT NULL,
         session_id text NOT NULL,
         title text NOT NULL,
         workspace text NOT NULL,
         parent_id text,
         request_id text,
         created_at timestamptz NOT NULL,
         updated_at timestamptz NOT NULL,
         last_seq integer NOT NULL,
         epoch integer NOT NULL,
         lease_owner text,
         lease_expires_at timestamptz,
         turn_open boolean NOT NULL,
         turn_end_reason integer,
         turn_end_summary text,
         PRIMARY KEY (tenant_id, session_id)
       )`,
      `CREATE INDEX IF NOT EXISTS session_newest ON guildhall.session (tenant_id, created_at DESC, session_id DESC)`,
      `CREATE UNIQUE INDEX IF NOT EXISTS session_request ON guildhall.session (tenant_id, request_id) WHERE request_id IS NOT NULL`,
      // payload: a guildhall.v1.Event without its seq. key_id: the key that it is encrypted with; null: none.
      `CREATE TABLE IF NOT EXISTS guildhall.event (
         tenant_id text NOT NULL,
         session_id text NOT NULL,
         seq integer NOT NULL,
         payload bytea NOT NULL,
         key_id text,
         PRIMARY KEY (tenant_id, session_id, seq)
       )`,
      // Inputs that are stored once however often they are sent.
      `CREATE TABLE IF NOT EXISTS guildhall.session_input (
         tenant_id text NOT NULL,
         session_id text NOT NULL,
         input_key text NOT NULL,
         seq integer NOT NULL,
         PRIMARY KEY (tenant_id, session_id, input_key)
       )`,
    ],
  },
  {
    version: 2,
    // New tables only: code of version 1 appends without them, and a task whose session it ends is found by the next look.
    compatibleFrom: 1,
    statements: [
      // spec: a guildhall.v1.TaskSpec; state: a guildhall.v1.TaskState. claim_*: the orchestrator that holds a running task.
      `CREATE TABLE IF NOT EXISTS guildhall.task (
         tenant_id text NOT NULL,
         task_id text NOT NULL,
         graph_id text NOT NULL,
         name text NOT NULL,
         project text NOT NULL,
         spec bytea NOT NULL,
         state integer NOT NULL,
         reason text NOT NULL,
         priority integer NOT NULL,
         attempt integer NOT NULL,
         epoch integer NOT NULL,
         session_id text,
         worker_id text,
         claim_owner text,
         claim_expires_at timestamptz,
         request_id text,
         submitted_at timestamptz NOT NULL,
         started_at timestamptz,
         ended_at timestamptz,
         PRIMARY KEY (tenant_id, task_id)
       )`,
      `CREATE INDEX IF NOT EXISTS task_open ON guildhall.task (tenant_id, state) WHERE state < 5`,
      `CREATE INDEX IF NOT EXISTS task_graph ON guildhall.task (tenant_id, graph_id)`,
      `CREATE INDEX IF NOT EXISTS task_session ON guildhall.task (tenant_id, session_id) WHERE session_id IS NOT NULL`,
      `CREATE INDEX IF NOT EXISTS task_request ON guildhall.task (tenant_id, request_id) WHERE request_id IS NOT NULL`,
      `CREATE TABLE IF NOT EXISTS guildhall.budget (
         tenant_id text NOT NULL,
         path text NOT NULL,
         max_steps double precision NOT NULL,
         max_tokens double precision NOT NULL,
         max_cost_usd double precision NOT NULL,
         max_seconds double precision NOT NULL,
         spent_steps double precision NOT NULL,
         spent_tokens double precision NOT NULL,
         spent_cost_usd double precision NOT NULL,
         spent_seconds double precision NOT NULL,
         PRIMARY KEY (tenant_id, path)
       )`,
      // What calls under way hold; one row a call, gone when it is settled or its time is over.
      `CREATE TABLE IF NOT EXISTS guildhall.reservation (
         tenant_id text NOT NULL,
         reservation_id text NOT NULL,
         session_id text NOT NULL,
         epoch integer NOT NULL,
         path text NOT NULL,
         steps double precision NOT NULL,
         tokens double precision NOT NULL,
         cost_usd double precision NOT NULL,
         seconds double precision NOT NULL,
         expires_at timestamptz NOT NULL,
         PRIMARY KEY (tenant_id, reservation_id)
       )`,
    ],
  },
  {
    version: 3,
    compatibleFrom: 1,
    statements: [
      // The name under which this database writes what it knows.
      `CREATE TABLE IF NOT EXISTS guildhall.knowledge_replica (
         tenant_id text NOT NULL,
         replica text NOT NULL,
         created_at timestamptz NOT NULL,
         PRIMARY KEY (tenant_id)
       )`,
      // payload: a guildhall.v1.Operation; the columns beside it repeat what one looks for. Never changed, never deleted.
      `CREATE TABLE IF NOT EXISTS guildhall.knowledge_operation (
         tenant_id text NOT NULL,
         replica text NOT NULL,
         seq bigint NOT NULL,
         operation_id text NOT NULL,
         item_id text NOT NULL,
         kind text NOT NULL,
         wall_ms bigint NOT NULL,
         counter integer NOT NULL,
         scope text NOT NULL,
         actor text NOT NULL,
         confidence double precision NOT NULL,
         payload bytea NOT NULL,
         key_id text,
         PRIMARY KEY (tenant_id, replica, seq)
       )`,
      `CREATE UNIQUE INDEX IF NOT EXISTS knowledge_operation_once ON guildhall.knowledge_operation (tenant_id, operation_id)`,
      // What the border between sessions and what is shared has done; never what it found.
      `CREATE TABLE IF NOT EXISTS guildhall.knowledge_border (
         tenant_id text NOT NULL,
         entry_id text NOT NULL,
         at timestamptz NOT NULL,
         session_id text NOT NULL,
         outcome text NOT NULL,
         reasons text NOT NULL,
         PRIMARY KEY (tenant_id, entry_id)
       )`,
      `CREATE INDEX IF NOT EXISTS knowledge_operation_item ON guildhall.knowledge_operation (tenant_id, item_id)`,
    ],
  },
  {
    version: 4,
    // New columns have defaults and new tables are nobody's yet: code of version 3 ends a task with its turn, as it did.
    compatibleFrom: 1,
    statements: [
      // delivers: the end of its turn is not its end, its result is on its way somewhere. base: the commit that its clones are made of.
      `ALTER TABLE guildhall.task ADD COLUMN IF NOT EXISTS delivers boolean NOT NULL DEFAULT false`,
      `ALTER TABLE guildhall.task ADD COLUMN IF NOT EXISTS base text NOT NULL DEFAULT ''`,
      // Blobs of several orchestrators: the pieces first, their name when all of them are there.
      `CREATE TABLE IF NOT EXISTS guildhall.blob (
         digest text NOT NULL,
         content_id text NOT NULL,
         size bigint NOT NULL,
         PRIMARY KEY (digest)
       )`,
      `CREATE TABLE IF NOT EXISTS guildhall.blob_piece (
         content_id text NOT NULL,
         nth integer NOT NULL,
         bytes bytea NOT NULL,
         PRIMARY KEY (content_id, nth)
       )`,
      // What is being written and has no name yet.
      `CREATE TABLE IF NOT EXISTS guildhall.blob_upload (
         content_id text NOT NULL,
         started_at timestamptz NOT NULL,
         PRIMARY KEY (content_id)
       )`,
      // Git objects, deflated, one store a workspace.
      `CREATE TABLE IF NOT EXISTS guildhall.checkpoint_object (
         store text NOT NULL,
         object_id text NOT NULL,
         kind text NOT NULL,
         content bytea NOT NULL,
         used_at timestamptz NOT NULL,
         PRIMARY KEY (store, object_id)
       )`,
    ],
  },
  {
    version: 5,
    // A new table: orchestrators of version 4 tell nothing in it, and show their own workers alone.
    compatibleFrom: 1,
    statements: [
      // owner: the orchestrator that the worker has joined; payload: a guildhall.v1.Worker; drain: somebody asked for it.
      `CREATE TABLE IF NOT EXISTS guildhall.worker (
         tenant_id text NOT NULL,
         worker_id text NOT NULL,
         owner text NOT NULL,
         seen_at timestamptz NOT NULL,
         drain boolean NOT NULL,
         payload bytea NOT NULL,
         PRIMARY KEY (tenant_id, worker_id)
       )`,
    ],
  },
];

/** The version that this code writes and reads. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Brings the schema up to date; several processes may do so at once. Costs one look-up when there is nothing to do. Throws
 * `version_mismatch` when a newer Guildhall changed it in a way that this one cannot follow.
 */
export async function migrate(database: Database, migrations: readonly Migration[] = MIGRATIONS): Promise<number> {
  const target = migrations.at(-1)?.version ?? 0;
  return database.borrow(async (client) => {
    const found = await readVersion(client);
    refuseNewer(found, target);
    if (found.version >= target) return found.version;
    // A connection that something was thrown on is closed, which gives the lock back.
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    await client.query("CREATE SCHEMA IF NOT EXISTS guildhall");
    await client.query(
      `CREATE TABLE IF NOT EXISTS guildhall.schema_version (
         version integer PRIMARY KEY, compatible_from integer NOT NULL, applied_at timestamptz NOT NULL)`,
    );
    const now = await readVersion(client);
    refuseNewer(now, target);
    for (const migration of migrations) if (migration.version > now.version) await apply(client, migration);
    await client.query("SELECT pg_advisory_unlock($1)", [LOCK]);
    return Math.max(now.version, target);
  });
}

/** `guildhall` on a telephone keypad. */
const LOCK = 484_534_255;

interface SchemaState {
  version: number;
  compatibleFrom: number;
}

async function readVersion(client: PoolClient): Promise<SchemaState> {
  try {
    const { rows } = await client.query<{ version: number | null; compatible_from: number | null }>(
      // What one step has ended, a later one that is only wider does not bring back.
      "SELECT max(version) AS version, max(compatible_from) AS compatible_from FROM guildhall.schema_version",
    );
    return { version: rows[0]?.version ?? 0, compatibleFrom: rows[0]?.compatible_from ?? 0 };
  } catch (error) {
    // No such table, no such schema: nothing was ever made here.
    if (sqlState(error) === "42P01" || sqlState(error) === "3F000") return { version: 0, compatibleFrom: 0 };
    throw error;
  }
}

function refuseNewer(found: SchemaState, target: number): void {
  if (found.version <= target || found.compatibleFrom <= target) return;
  throw new GuildError("version_mismatch", `the database is of schema ${found.version}, this Guildhall knows up to ${target}`, {
    remedy: "use the newer Guildhall that changed it",
  });
}

async function apply(client: PoolClient, migration: Migration): Promise<void> {
  await client.query("BEGIN");
  for (const statement of migration.statements) await client.query(statement);
  await client.query(
    "INSERT INTO guildhall.schema_version (version, compatible_from, applied_at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING",
    [migration.version, migration.compatibleFrom],
  );
  await client.query("COMMIT");
}

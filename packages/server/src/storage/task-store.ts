import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { GuildError, type NewSession } from "@guildhall/core";
import { type TaskSpec, TaskSpecSchema, type TaskState } from "@guildhall/protocol";
import type { PoolClient } from "pg";

import type { Database } from "./database.ts";
import { textColumn } from "./event-codec.ts";

/** A task as it is stored. */
export interface TaskRecord {
  tenant: string;
  id: string;
  graph: string;
  spec: TaskSpec;
  state: TaskState;
  reason: string;
  priority: number;
  /** Workers that it was given to. */
  attempt: number;
  /** Raised with every placement. */
  epoch: number;
  session: string | undefined;
  worker: string | undefined;
  /** Orchestrator that answers for it while it runs. */
  claimOwner: string | undefined;
  /** Commit that its clones are made of, once there was one. */
  base?: string;
  submitted: Date;
  started: Date | undefined;
  ended: Date | undefined;
}

/** A change of state that is made only where the task is still in `from`. */
export interface TaskChange {
  id: string;
  from: readonly TaskState[];
  to: TaskState;
  reason: string;
}

/** Creates a session with its first events on a connection that has a transaction open. */
export type CreateSessionWithin = (client: PoolClient, session: NewSession) => Promise<void>;

/**
 * Tasks as rows. Whoever changes one names the state or epoch that it believes in, so that of several orchestrators one wins. The append that
 * ends a session's turn ends its task in the same statement (see `appendStatement`).
 */
export class TaskStore {
  readonly #database: Database;
  readonly #createSession: CreateSessionWithin;

  constructor(database: Database, createSession: CreateSessionWithin) {
    this.#database = database;
    this.#createSession = createSession;
  }

  /** All or none. Rows of the same request that are there already are returned instead. */
  async insert(tenant: string, tasks: readonly TaskRecord[], requestId = ""): Promise<TaskRecord[]> {
    return this.#database.transaction(async (client) => {
      if (requestId !== "") {
        const values = [tenant, requestId];
        const { rows } = await client.query<TaskRow>(
          `SELECT ${COLUMNS} FROM guildhall.task WHERE tenant_id = $1 AND request_id = $2`,
          values,
        );
        if (rows.length > 0) return rows.map(toRecord);
      }
      const stored: TaskRecord[] = [];
      for (let from = 0; from < tasks.length; from += BATCH) {
        const part = tasks.slice(from, from + BATCH);
        const { rows } = await client.query<{ submitted_at: Date }>({
          text: INSERT,
          values: [
            tenant,
            part.map(({ id }) => id),
            part.map(({ graph }) => graph),
            part.map(({ spec }) => textColumn(spec.name)),
            part.map(({ spec }) => textColumn(spec.project)),
            part.map(({ spec }) => Buffer.from(toBinary(TaskSpecSchema, spec)).toString("base64")),
            part.map(({ state }) => state),
            part.map(({ reason }) => textColumn(reason)),
            part.map(({ priority }) => priority),
            part.map(({ session }) => session ?? null),
            requestId === "" ? null : requestId,
            part.map(({ spec }) => spec.resultBranch !== ""),
          ],
        });
        // One clock for all orchestrators: ageing and deadlines count from it.
        stored.push(...part.map((task) => ({ ...task, submitted: rows[0]?.submitted_at ?? task.submitted })));
      }
      return stored;
    });
  }

  /** Throws `not_found`. */
  async get(tenant: string, id: string): Promise<TaskRecord> {
    const [task] = await this.#select("tenant_id = $1 AND task_id = $2", [tenant, id]);
    if (task === undefined)
      throw new GuildError("not_found", `no task ${id}`, { subject: id, remedy: "`guild task list` shows what there is" });
    return task;
  }

  /** Newest first. */
  list(tenant: string, query: { limit: number; graph?: string; unfinished?: boolean }): Promise<TaskRecord[]> {
    return this.#select(
      "tenant_id = $1 AND ($2::text IS NULL OR graph_id = $2) AND (NOT $3::boolean OR state < 5) ORDER BY submitted_at DESC, task_id DESC LIMIT $4",
      [tenant, query.graph ?? null, query.unfinished === true, query.limit],
    );
  }

  /** The latest task that works on a session. */
  async ofSession(tenant: string, session: string): Promise<TaskRecord | undefined> {
    const [task] = await this.#select("tenant_id = $1 AND session_id = $2 ORDER BY submitted_at DESC LIMIT 1", [tenant, session]);
    return task;
  }

  /** The present by the clock that all orchestrators share. */
  async now(): Promise<Date> {
    const [row] = await this.#database.read<{ now: Date }>({ name: "guildhall-now", text: "SELECT now() AS now" });
    return row?.now ?? new Date();
  }

  /** Every task that has not ended, oldest first. */
  open(tenant: string): Promise<TaskRecord[]> {
    return this.#select("tenant_id = $1 AND state < 5 ORDER BY submitted_at, task_id", [tenant]);
  }

  /**
   * Running tasks for which no orchestrator answers any more. One that is claimed for far longer than anybody claims, because the database's clock was
   * set back, is claimed for {@link CUT_SECONDS} from now on: who lives claims it again before that.
   */
  async abandoned(tenant: string): Promise<TaskRecord[]> {
    await this.#database.write({
      text: `UPDATE guildhall.task SET claim_expires_at = now() + interval '${CUT_SECONDS} seconds'
        WHERE tenant_id = $1 AND state = 3 AND claim_expires_at > now() + interval '${4 * CUT_SECONDS} seconds'`,
      values: [tenant],
    });
    return await this.#select("tenant_id = $1 AND state = 3 AND claim_expires_at < now()", [tenant]);
  }

  ofGraph(tenant: string, graph: string): Promise<TaskRecord[]> {
    return this.#select("tenant_id = $1 AND graph_id = $2", [tenant, graph]);
  }

  /**
   * Gives a queued task to a worker, and makes its session in the same transaction when it has none. Whoever worked on the session before writes
   * nothing more from here on: what the worker is told of its log is all that there is. Undefined when somebody else was faster.
   */
  claim(task: TaskRecord, to: { worker: string; owner: string; claimMs: number }, session?: NewSession): Promise<TaskRecord | undefined> {
    return this.#database.transaction(async (client) => {
      const values = [task.tenant, task.id, task.epoch, to.worker, to.owner, to.claimMs, session?.session ?? task.session ?? null];
      const { rows } = await client.query<TaskRow>(CLAIM, values);
      if (rows[0] === undefined) return undefined;
      if (session !== undefined) await this.#createSession(client, session);
      else if (task.session !== undefined) await client.query(FENCE, [task.tenant, task.session]);
      return toRecord(rows[0]);
    });
  }

  /** A worker's own word that it still works on what another orchestrator gave it. */
  async adopt(tenant: string, id: string, epoch: number, owner: string, claimMs: number): Promise<TaskRecord | undefined> {
    const rows = await this.#database.write<TaskRow>({
      text: `UPDATE guildhall.task SET claim_owner = $4, claim_expires_at = ${UNTIL} WHERE tenant_id = $1 AND task_id = $2 AND epoch = $3 AND state = 3 RETURNING ${COLUMNS}`,
      values: [tenant, id, epoch, owner, claimMs],
    });
    return rows[0] === undefined ? undefined : toRecord(rows[0]);
  }

  /** Answers for these a while longer; returns those that are still ours to answer for. */
  async renew(tenant: string, owner: string, ids: readonly string[], claimMs: number): Promise<Array<{ id: string; state: TaskState }>> {
    const rows = await this.#database.write<{ task_id: string; state: number }>({
      text: `UPDATE guildhall.task SET claim_expires_at = ${UNTIL} WHERE tenant_id = $1 AND task_id = ANY($2::text[]) AND claim_owner = $3
        AND state = $4::int RETURNING task_id, state`,
      values: [tenant, ids, owner, RUNNING, claimMs],
    });
    return rows.map((row) => ({ id: row.task_id, state: Number(row.state) as TaskState }));
  }

  /**
   * Takes a running task from its worker: it waits again, with the reason. `of`: the orchestrator that must still answer for it, or nobody any more.
   * Undefined when it is no longer running under that epoch, or somebody else answers for it.
   */
  async release(task: TaskRecord, reason: string, lost: boolean, of: { owner: string } | "abandoned"): Promise<TaskRecord | undefined> {
    const rows = await this.#database.write<TaskRow>({
      text: `UPDATE guildhall.task SET state = 2, reason = $4, worker_id = NULL, claim_owner = NULL, claim_expires_at = NULL, attempt = attempt - $5::int
        WHERE tenant_id = $1 AND task_id = $2 AND epoch = $3 AND state = 3
          AND CASE WHEN $6::text IS NULL THEN claim_expires_at < now() ELSE claim_owner = $6::text END RETURNING ${COLUMNS}`,
      values: [task.tenant, task.id, task.epoch, textColumn(reason), lost ? 0 : 1, of === "abandoned" ? null : of.owner],
    });
    return rows[0] === undefined ? undefined : toRecord(rows[0]);
  }

  /** Keeps the commit that a clone was made of, the first time. */
  async setBase(task: TaskRecord, base: string): Promise<void> {
    await this.#database.write({
      text: "UPDATE guildhall.task SET base = $4 WHERE tenant_id = $1 AND task_id = $2 AND epoch = $3 AND base = ''",
      values: [task.tenant, task.id, task.epoch, textColumn(base)],
    });
  }

  /** Makes those changes whose task is still in the state that they begin from; returns the tasks that changed. */
  change(tenant: string, changes: readonly TaskChange[]): Promise<TaskRecord[]> {
    return this.#database.transaction(async (client) => {
      const changed: TaskRecord[] = [];
      for (const { id, from, to, reason } of changes) {
        const { rows } = await client.query<TaskRow>(
          `UPDATE guildhall.task SET state = $4, reason = $5, ended_at = CASE WHEN $4 >= 5 THEN now() END
           WHERE tenant_id = $1 AND task_id = $2 AND state = ANY($3::int[]) RETURNING ${COLUMNS}`,
          [tenant, id, from, to, textColumn(reason)],
        );
        if (rows[0] !== undefined) changed.push(toRecord(rows[0]));
      }
      return changed;
    });
  }

  async setPriority(tenant: string, id: string, priority: number): Promise<TaskRecord> {
    await this.#database.write({
      text: "UPDATE guildhall.task SET priority = $3 WHERE tenant_id = $1 AND task_id = $2",
      values: [tenant, id, priority],
    });
    return this.get(tenant, id);
  }

  async #select(where: string, values: unknown[]): Promise<TaskRecord[]> {
    const rows = await this.#database.read<TaskRow>({ text: `SELECT ${COLUMNS} FROM guildhall.task WHERE ${where}`, values });
    return rows.map(toRecord);
  }
}

const BATCH = 500;
/** Longer than a claim, which is renewed several times in its length. */
const CUT_SECONDS = 15;
/** TASK_STATE_RUNNING, as the statements have it. */
const RUNNING = 3;

const COLUMNS = `tenant_id, task_id, graph_id, spec, state, reason, priority, attempt, epoch, session_id, worker_id, claim_owner, submitted_at,
  started_at, ended_at, base`;

const UNTIL = "now() + $5::float8 * interval '1 millisecond'";

const INSERT = `
  INSERT INTO guildhall.task (tenant_id, task_id, graph_id, name, project, spec, state, reason, priority, attempt, epoch, session_id,
    request_id, submitted_at, delivers)
  SELECT $1::text, t.id, t.graph, t.name, t.project, decode(t.spec, 'base64'), t.state, t.reason, t.priority, 0, 0, t.session, $11::text,
    now(), t.delivers
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::int[], $10::text[], $12::boolean[])
    AS t(id, graph, name, project, spec, state, reason, priority, session, delivers)
  RETURNING submitted_at`;

const CLAIM = `
  UPDATE guildhall.task SET state = 3, reason = '', epoch = epoch + 1, attempt = attempt + 1, worker_id = $4, claim_owner = $5,
    claim_expires_at = now() + $6::float8 * interval '1 millisecond', session_id = $7, started_at = COALESCE(started_at, now())
  WHERE tenant_id = $1 AND task_id = $2 AND epoch = $3 AND state = 2
  RETURNING ${COLUMNS}`;

/** A lease that nobody has given back is not believed any more. */
const FENCE = "UPDATE guildhall.session SET epoch = epoch + 1 WHERE tenant_id = $1 AND session_id = $2 AND lease_owner IS NOT NULL";

interface TaskRow {
  tenant_id: string;
  task_id: string;
  graph_id: string;
  spec: Buffer;
  state: number;
  reason: string;
  priority: number;
  attempt: number;
  epoch: number;
  session_id: string | null;
  worker_id: string | null;
  claim_owner: string | null;
  submitted_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  base: string;
}

function toRecord(row: TaskRow): TaskRecord {
  return {
    tenant: row.tenant_id,
    id: row.task_id,
    graph: row.graph_id,
    spec: fromBinary(TaskSpecSchema, row.spec),
    state: Number(row.state) as TaskState,
    reason: row.reason,
    priority: Number(row.priority),
    attempt: Number(row.attempt),
    epoch: Number(row.epoch),
    session: row.session_id ?? undefined,
    worker: row.worker_id ?? undefined,
    claimOwner: row.claim_owner ?? undefined,
    submitted: row.submitted_at,
    started: row.started_at ?? undefined,
    ended: row.ended_at ?? undefined,
    ...(row.base === "" ? {} : { base: row.base }),
  };
}

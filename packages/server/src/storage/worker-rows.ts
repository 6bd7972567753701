import type { Database } from "./database.ts";

/** A worker as the orchestrator that it has joined tells of it. */
export interface WorkerRow {
  id: string;
  /** A guildhall.v1.Worker. */
  payload: Uint8Array;
}

/** Orchestrators tell each other every few seconds; one that has been silent for longer, or told when the clock was ahead, is not believed. */
const BELIEVED_SECONDS = 15;

/** Which workers have joined which orchestrator, for orchestrators that share a database. */
export class WorkerRows {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All workers of an orchestrator just now; those that it told of before and not any more are gone. Returns whom people want drained. */
  async tell(tenant: string, owner: string, workers: readonly WorkerRow[]): Promise<string[]> {
    const ids = workers.map(({ id }) => id);
    const payloads = workers.map(({ payload }) => Buffer.from(payload).toString("base64"));
    return this.#database.transaction(async (client) => {
      await client.query(
        `DELETE FROM guildhall.worker WHERE tenant_id = $1
         AND ((owner = $2 AND NOT worker_id = ANY($3::text[])) OR seen_at < now() - interval '1 hour')`,
        [tenant, owner, ids],
      );
      if (ids.length === 0) return [];
      const { rows } = await client.query<{ worker_id: string; drain: boolean }>(
        `INSERT INTO guildhall.worker (tenant_id, worker_id, owner, seen_at, drain, payload)
         SELECT $1, told.id, $2, now(), false, decode(told.payload, 'base64') FROM unnest($3::text[], $4::text[]) AS told(id, payload)
         ON CONFLICT (tenant_id, worker_id) DO UPDATE SET owner = excluded.owner, seen_at = excluded.seen_at, payload = excluded.payload
         RETURNING worker_id, drain`,
        [tenant, owner, ids, payloads],
      );
      return rows.flatMap((row) => (row.drain ? [row.worker_id] : []));
    });
  }

  /** What the others have told lately. */
  async ofOthers(tenant: string, owner: string): Promise<Array<WorkerRow & { owner: string }>> {
    const rows = await this.#database.read<{ worker_id: string; owner: string; payload: Buffer }>({
      text: `SELECT worker_id, owner, payload FROM guildhall.worker
             WHERE tenant_id = $1 AND owner <> $2 AND abs(extract(epoch FROM now() - seen_at)) < $3::float8 ORDER BY worker_id`,
      values: [tenant, owner, BELIEVED_SECONDS],
    });
    return rows.map((row) => ({ id: row.worker_id, owner: row.owner, payload: row.payload }));
  }

  /** Asks whichever orchestrator it has joined; false: none has told of it lately. */
  async askDrain(tenant: string, id: string): Promise<boolean> {
    const rows = await this.#database.read({
      text: `UPDATE guildhall.worker SET drain = true
             WHERE tenant_id = $1 AND worker_id = $2 AND seen_at > now() - $3::float8 * interval '1 second' RETURNING worker_id`,
      values: [tenant, id, BELIEVED_SECONDS],
    });
    return rows.length > 0;
  }
}

import { randomBytes } from "node:crypto";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { GuildError, type OperationStore } from "@guildhall/core";
import { type Operation, OperationSchema } from "@guildhall/protocol";

import type { Database } from "./database.ts";

const PAGE = 1_000;

/** Operations of what is known as rows: the truth, from which everything else is made again. */
export class PostgresOperationStore implements OperationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async replica(tenant: string): Promise<string> {
    const name = `rep_${randomBytes(10).toString("hex")}`;
    await this.#database.write({
      text: "INSERT INTO guildhall.knowledge_replica (tenant_id, replica, created_at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING",
      values: [tenant, name],
    });
    const [row] = await this.#database.read<{ replica: string }>({
      text: "SELECT replica FROM guildhall.knowledge_replica WHERE tenant_id = $1",
      values: [tenant],
    });
    return row?.replica ?? name;
  }

  async *read(tenant: string, known: Readonly<Record<string, bigint>>): AsyncIterable<readonly Operation[]> {
    const replicas = await this.#database.read<{ replica: string; last: string }>({
      text: "SELECT replica, max(seq)::text AS last FROM guildhall.knowledge_operation WHERE tenant_id = $1 GROUP BY replica ORDER BY replica",
      values: [tenant],
    });
    for (const { replica, last } of replicas) {
      for (let after = known[replica] ?? 0n; after < BigInt(last);) {
        const rows = await this.#database.read<{ place: string; payload: Buffer }>({
          // Not named as the column: the order would be that of the text.
          text: `SELECT seq::text AS place, payload FROM guildhall.knowledge_operation
                 WHERE tenant_id = $1 AND replica = $2 AND seq > $3::bigint ORDER BY seq LIMIT ${PAGE}`,
          values: [tenant, replica, String(after)],
        });
        if (rows.length === 0) break;
        yield rows.map((row) => decode(row.payload));
        after = BigInt(rows.at(-1)?.place ?? last);
      }
    }
  }

  async append(tenant: string, operations: readonly Operation[]): Promise<void> {
    for (let from = 0; from < operations.length; from += PAGE) {
      if (operations.length > PAGE) {
        // One transaction for all, however many statements.
        await this.#database.transaction(async (client) => {
          for (let at = 0; at < operations.length; at += PAGE)
            await insert((query) => client.query(query), tenant, operations.slice(at, at + PAGE));
        });
        return;
      }
      await insert((query) => this.#database.write(query), tenant, operations);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function insert(
  run: (query: { text: string; values: unknown[] }) => Promise<unknown>,
  tenant: string,
  operations: readonly Operation[],
): Promise<void> {
  const rows = operations.map(columns);
  const names = ["replica", "seq", "operation_id", "item_id", "kind", "wall_ms", "counter", "scope", "actor", "confidence"] as const;
  const types = ["text", "bigint", "text", "text", "text", "bigint", "int", "text", "text", "float8"];
  const payloads = operations.map((one) => toBinary(OperationSchema, one));
  const starts: number[] = [];
  let start = 1;
  for (const payload of payloads) {
    starts.push(start);
    start += payload.length;
  }
  const arrays = names.map((name) => rows.map((row) => row[name]));
  const unnested = types.map((type, at) => `$${at + 5}::${type}[]`).join(", ");
  try {
    await run({
      text: `INSERT INTO guildhall.knowledge_operation (tenant_id, ${names.join(", ")}, payload)
             SELECT $1::text, ${names.map((name) => `o.${name}`).join(", ")}, substring($2::bytea from o.start for o.length)
             FROM unnest($3::int[], $4::int[], ${unnested}) AS o(start, length, ${names.join(", ")})
             WHERE NOT EXISTS (SELECT 1 FROM guildhall.knowledge_operation k WHERE k.tenant_id = $1 AND k.operation_id = o.operation_id)`,
      values: [tenant, Buffer.concat(payloads), starts, payloads.map((payload) => payload.length), ...arrays],
    });
  } catch (error) {
    const cause = error instanceof GuildError ? error.cause : error;
    if (!(cause instanceof Error && "code" in cause && cause.code === "23505")) throw error;
    throw new GuildError("already_exists", "a position of a replica's operations is taken", { remedy: "read first", cause: error });
  }
}

function columns(operation: Operation) {
  const { id, replica, seq, time, actor, change } = operation;
  const put = change.case === "put" ? change.value : undefined;
  const item = put?.id ?? (change.case === "forget" || change.case === "restore" || change.case === "prune" ? change.value : "");
  return {
    replica,
    seq: String(seq),
    operation_id: id,
    item_id: item,
    kind: change.case ?? "withheld",
    wall_ms: String(time?.wallMs ?? 0n),
    counter: time?.counter ?? 0,
    scope: put?.scope === undefined ? "" : `${put.scope.kind}:${put.scope.id}`,
    actor,
    confidence: put?.confidence ?? 0,
  };
}

function decode(payload: Uint8Array): Operation {
  try {
    return fromBinary(OperationSchema, payload);
  } catch (error) {
    throw new GuildError("corrupt", "an operation of what is known cannot be read", {
      remedy: "restore the database from a copy",
      cause: error,
    });
  }
}

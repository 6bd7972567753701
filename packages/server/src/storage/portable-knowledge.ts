import { fromBinary } from "@bufbuild/protobuf";
import { type Operation, OperationSchema } from "@guildhall/protocol";

import type { CopyReader } from "./copy-reader.ts";
import type { Database } from "./database.ts";
import { PostgresOperationStore } from "./operation-store.ts";
import { damaged, type PortableCrossing, type PortableOperation } from "./portable-copy.ts";

const PAGE = 500;

/**
 * What is known, for a portable copy: every operation as it is stored, and what the border did. The name under which this place writes is not copied: a place
 * that takes the copy in writes under a name of its own, so that both may go on and be joined later.
 */
export async function* knowledgeRows(database: Database): AsyncGenerator<PortableOperation | PortableCrossing> {
  for (let after: [string, string, string] = ["", "", "0"]; ;) {
    const rows = await database.read<OperationRow>({
      text: `SELECT tenant_id, replica, seq::text AS place, payload FROM guildhall.knowledge_operation
             WHERE (tenant_id, replica, seq) > ($1, $2, $3::bigint) ORDER BY tenant_id, replica, seq LIMIT ${PAGE}`,
      values: after,
    });
    for (const row of rows) {
      after = [row.tenant_id, row.replica, row.place];
      yield { operation: row.payload.toString("base64"), tenant: row.tenant_id };
    }
    if (rows.length < PAGE) break;
  }
  for (let after: [string, string] = ["", ""]; ;) {
    const rows = await database.read<CrossingRow>({
      text: `SELECT tenant_id, entry_id, at::text AS at, session_id, outcome, reasons FROM guildhall.knowledge_border
             WHERE (tenant_id, entry_id) > ($1, $2) ORDER BY tenant_id, entry_id LIMIT ${PAGE}`,
      values: after,
    });
    for (const row of rows) {
      after = [row.tenant_id, row.entry_id];
      const { tenant_id: tenant, entry_id: crossing, session_id: session, ...rest } = row;
      yield { crossing, tenant, session, ...rest };
    }
    if (rows.length < PAGE) return;
  }
}

/** Takes operations in, from the line that was read and those behind it; those that are here are passed over. Answers with how many there were. */
export async function importOperations(database: Database, first: PortableOperation, copy: CopyReader): Promise<number> {
  const store = new PostgresOperationStore(database);
  let count = 0;
  let page = [first];
  while (page.length > 0) {
    count += page.length;
    for (const [tenant, lines] of Map.groupBy(page, (line) => line.tenant)) {
      const operations = lines.map(({ operation }) => decoded(operation));
      // A position that is here holds that operation, or the place went another way: then `already_exists` tells.
      await store.append(tenant, operations);
    }
    page = await copy.operations(PAGE);
  }
  return count;
}

/** Takes in what the border did. */
export async function importCrossing(database: Database, line: PortableCrossing): Promise<void> {
  await database.write({
    text: `INSERT INTO guildhall.knowledge_border (tenant_id, entry_id, at, session_id, outcome, reasons)
           VALUES ($1, $2, $3::timestamptz, $4, $5, $6) ON CONFLICT DO NOTHING`,
    values: [line.tenant, line.crossing, line.at, line.session, line.outcome, line.reasons],
  });
}

function decoded(operation: string): Operation {
  try {
    return fromBinary(OperationSchema, Buffer.from(operation, "base64"));
  } catch (error) {
    throw damaged(`an operation of what is known is none: ${error instanceof Error ? error.message : String(error)}`);
  }
}

interface OperationRow {
  tenant_id: string;
  replica: string;
  place: string;
  payload: Buffer;
}

interface CrossingRow {
  tenant_id: string;
  entry_id: string;
  at: string;
  session_id: string;
  outcome: string;
  reasons: string;
}

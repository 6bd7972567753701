import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type GetPrivacyReportResponse, GetPrivacyReportResponseSchema, HeldBackSchema } from "@guildhall/protocol";

import type { Database } from "../storage/database.ts";

/** One item's crossing of the border. */
export interface Crossing {
  id: string;
  session: string;
  outcome: "passed" | "redacted" | "held back";
  reasons: ReadonlyMap<string, number>;
}

/** What the border has done, as rows: counts and rules, never what was found. */
export interface BorderLog {
  record(tenant: string, crossings: readonly Crossing[]): Promise<void>;
  report(tenant: string, of: { since: number; session: string }): Promise<GetPrivacyReportResponse>;
}

const SHOWN = 1_000;

export function createBorderLog(database: Database): BorderLog {
  return {
    async record(tenant, crossings) {
      if (crossings.length === 0) return;
      const reasons = crossings.map((one) => JSON.stringify(Object.fromEntries(one.reasons)));
      await database.write({
        text: `INSERT INTO guildhall.knowledge_border (tenant_id, entry_id, at, session_id, outcome, reasons)
               SELECT $1::text, e.id, now(), e.session, e.outcome, e.reasons
               FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS e(id, session, outcome, reasons) ON CONFLICT DO NOTHING`,
        values: [tenant, crossings.map((one) => one.id), crossings.map((one) => one.session), crossings.map((one) => one.outcome), reasons],
      });
    },
    async report(tenant, { since, session }) {
      const values = [tenant, new Date(since).toISOString(), session];
      const where = "WHERE tenant_id = $1 AND at >= $2::timestamptz AND ($3::text = '' OR session_id = $3)";
      const counts = await database.read<{ outcome: string; count: string }>({
        text: `SELECT outcome, count(*)::text AS count FROM guildhall.knowledge_border ${where} GROUP BY outcome`,
        values,
      });
      const rows = await database.read<{ at: Date; session_id: string; reasons: string }>({
        text: `SELECT at, session_id, reasons FROM guildhall.knowledge_border ${where} AND reasons <> '{}' ORDER BY at DESC LIMIT ${SHOWN}`,
        values,
      });
      const of = (outcome: string): bigint => BigInt(counts.find((one) => one.outcome === outcome)?.count ?? 0);
      const entries = rows.flatMap((row) =>
        Object.entries(JSON.parse(row.reasons) as Record<string, number>).map(([reason, count]) =>
          create(HeldBackSchema, { time: timestampFromMs(row.at.getTime()), sessionId: row.session_id, reason, count }),
        ),
      );
      return create(GetPrivacyReportResponseSchema, {
        examined: of("passed") + of("redacted") + of("held back"),
        passed: of("passed"),
        redacted: of("redacted"),
        heldBack: of("held back"),
        entries,
      });
    },
  };
}

import { encodeEvents } from "../event-codec.ts";
import { MIGRATIONS } from "../migrations.ts";
import { GOLDEN_KEY, GOLDEN_TIME, goldenBodies } from "./golden-session.ts";

/**
 * A database of the present schema version as SQL: the schema and one session as this version stores them. `golden/v<version>.sql` keeps it for
 * every version; once released it is what databases in the world look like, and is not written again.
 */
export function goldenSql(): string {
  const { payloads, keys } = encodeEvents(goldenBodies(), { time: new Date(GOLDEN_TIME), epoch: 3, actor: "worker:1" });
  const names = `'${GOLDEN_KEY.tenant}', '${GOLDEN_KEY.session}'`;
  const statements = [
    "CREATE SCHEMA guildhall",
    "CREATE TABLE guildhall.schema_version (version integer PRIMARY KEY, compatible_from integer NOT NULL, applied_at timestamptz NOT NULL)",
    ...MIGRATIONS.flatMap((migration) => migration.statements),
    ...MIGRATIONS.map(
      ({ version, compatibleFrom }) => `INSERT INTO guildhall.schema_version VALUES (${version}, ${compatibleFrom}, '${GOLDEN_TIME}')`,
    ),
    `INSERT INTO guildhall.session (tenant_id, session_id, title, workspace, request_id, created_at, updated_at, last_seq, epoch, turn_open,
     turn_end_reason, turn_end_summary)
   VALUES (${names}, 'golden', '/w', 'req_golden', '${GOLDEN_TIME}', '${GOLDEN_TIME}', ${payloads.length}, 3, false, 1, 'done')`,
    ...payloads.map(
      (payload, index) =>
        `INSERT INTO guildhall.event (tenant_id, session_id, seq, payload) VALUES (${names}, ${index + 1}, '\\x${Buffer.from(payload).toString("hex")}')`,
    ),
    ...keys.map(({ nth, key }) => `INSERT INTO guildhall.session_input VALUES (${names}, '${key}', ${nth})`),
  ];
  return `${statements.join(";\n")};\n`;
}

if (import.meta.main) process.stdout.write(goldenSql());

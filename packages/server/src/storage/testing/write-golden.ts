/**
 * Writes `golden/v<version>.sql` for the present schema version: the schema and one session as that version stores them. Run it once, when a
 * migration has been added, and never again for that version: the file is what databases in the world look like.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { encodeEvents } from "../event-codec.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "../migrations.ts";
import { GOLDEN_KEY, GOLDEN_TIME, goldenBodies } from "./golden-session.ts";

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
const file = join(import.meta.dirname, "..", "golden", `v${SCHEMA_VERSION}.sql`);
writeFileSync(file, `${statements.join(";\n")};\n`, { flag: "wx" });

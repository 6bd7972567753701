import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Database } from "../../packages/server/src/storage/database.ts";
import { MIGRATIONS } from "../../packages/server/src/storage/migrations.ts";
import { Postgres } from "../../packages/server/src/storage/postgres.ts";

/** A PostgreSQL server that belongs to no service, as an operator brings one. */
export interface TemporaryDatabase {
  url: string;
  /** Makes it wider, as a Guildhall of the next version does whose schema those of this version can go on using. */
  widen(): Promise<void>;
  /** Has it say that a Guildhall of the next version has made it its own. */
  outgrow(): Promise<void>;
  /** Sets its clock, milliseconds from the true time, for all statements of those who connected since it was made. */
  setClock(ms: number): Promise<void>;
  close(): Promise<void>;
}

export async function temporaryDatabase(): Promise<TemporaryDatabase> {
  const root = await mkdtemp(join(tmpdir(), "guild-db-"));
  const dataDir = join(root, "data");
  const binariesDir = process.getuid?.() === 0 ? "/var/lib/guildhall" : dataDir;
  const server = new Postgres({ dataDir, runtimeDir: join(root, "run"), binariesDir });
  const { host, user, database } = await server.ensure();
  const write = async (...texts: string[]): Promise<void> => {
    const client = new Database({ address: () => Promise.resolve({ host, user, database }) });
    for (const text of texts) await client.write({ text });
    await client.close();
  };
  // Found before the server's own functions of these names.
  const shifted = (name: string): string =>
    `CREATE FUNCTION clock.${name}() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.${name}() + shift FROM clock.shift'`;
  await write(
    "CREATE SCHEMA clock",
    "CREATE TABLE clock.shift AS SELECT interval '0' AS shift",
    shifted("now"),
    shifted("clock_timestamp"),
    `ALTER DATABASE ${database} SET search_path = clock, pg_catalog, public`,
  );
  return {
    setClock: (ms) => write(`UPDATE clock.shift SET shift = interval '${ms} milliseconds'`),
    url: `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}`,
    widen: () =>
      write(
        "ALTER TABLE guildhall.session ADD COLUMN later text",
        "ALTER TABLE guildhall.task ADD COLUMN later integer NOT NULL DEFAULT 0",
        `INSERT INTO guildhall.schema_version VALUES (${MIGRATIONS.length + 1}, 1, now())`,
      ),
    outgrow: () => write(`INSERT INTO guildhall.schema_version VALUES (${MIGRATIONS.length + 2}, ${MIGRATIONS.length + 2}, now())`),
    async close() {
      await server.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}

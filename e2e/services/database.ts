import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Database } from "../../packages/server/src/storage/database.ts";
import { MIGRATIONS } from "../../packages/server/src/storage/migrations.ts";
import { Postgres } from "../../packages/server/src/storage/postgres.ts";

/** A PostgreSQL server that belongs to no service, as an operator brings one. */
export interface TemporaryDatabase {
  url: string;
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
    async outgrow() {
      const client = new Database({ address: () => Promise.resolve({ host, user, database }) });
      const next = MIGRATIONS.length + 1;
      await client.write({ text: "INSERT INTO guildhall.schema_version VALUES ($1, $1, now())", values: [next] });
      await client.close();
    },
    async close() {
      await server.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}

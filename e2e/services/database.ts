import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Postgres } from "../../packages/server/src/storage/postgres.ts";

/** A PostgreSQL server that belongs to no service, as an operator brings one. */
export interface TemporaryDatabase {
  url: string;
  close(): Promise<void>;
}

export async function temporaryDatabase(): Promise<TemporaryDatabase> {
  const root = await mkdtemp(join(tmpdir(), "guild-db-"));
  const dataDir = join(root, "data");
  const binariesDir = process.getuid?.() === 0 ? "/var/lib/guildhall" : dataDir;
  const server = new Postgres({ dataDir, runtimeDir: join(root, "run"), binariesDir });
  const { host, user, database } = await server.ensure();
  return {
    url: `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}`,
    async close() {
      await server.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}

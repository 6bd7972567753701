import { join } from "node:path";

import type { BlobStore, CheckpointStore, Clock, EventLog, FaultPoints, OperationStore } from "@guildhall/core";
import type { ClientConfig } from "pg";

import { type BorderLog, createBorderLog } from "../knowledge/border-log.ts";
import { FileBlobStore } from "./blob-store.ts";
import { type BudgetLedger, createBudgetLedger } from "./budget-ledger.ts";
import { DatabaseBlobStore } from "./database-blob-store.ts";
import { DatabaseCheckpointStore } from "./database-checkpoint-store.ts";
import { Database } from "./database.ts";
import { PostgresEventLog } from "./event-log.ts";
import type { ImportSummary } from "./import-database.ts";
import { migrate } from "./migrations.ts";
import { createNotices, type Notices } from "./notices.ts";
import { PostgresOperationStore } from "./operation-store.ts";
import { Postgres } from "./postgres.ts";
import { TaskStore } from "./task-store.ts";
import { WorkerRows } from "./worker-rows.ts";

export interface StorageOptions {
  /** Holds everything that must last. */
  dataDir: string;
  /** Holds sockets; may be emptied at every start of the machine. */
  runtimeDir: string;
  /** A PostgreSQL server of one's own; without it Guildhall runs one. */
  databaseUrl?: string;
  /** Where blobs and checkpoints are; default: files for a database of our own, the database for one that others may use too. */
  objects?: "files" | "database";
  clock?: Pick<Clock, "now">;
  faults?: FaultPoints;
}

/** Everything that lasts. */
export interface Storage {
  log: EventLog;
  blobs: BlobStore;
  /** Git objects of a workspace, where the database holds them. */
  checkpoints?: (workspace: string) => CheckpointStore;
  tasks: TaskStore;
  /** Of all orchestrators that share it. */
  workers: WorkerRows;
  /** Between all who have opened it. */
  notices?: Notices;
  budgets: BudgetLedger;
  /** What is known, as operations. */
  knowledge: OperationStore;
  border: BorderLog;
  /** The portable copy of everything, as JSON lines; see portable-copy.ts. */
  exportDatabase(): AsyncIterable<Uint8Array>;
  /** Takes a portable copy in; see {@link importDatabase} for what it throws. May be repeated. */
  importDatabase(source: AsyncIterable<Uint8Array>): Promise<ImportSummary>;
  describe(): Promise<StorageDescription>;
  /** Ends connections; a database server of our own lives on for the next process. */
  close(): Promise<void>;
  /** Stops a database server of our own, whoever started it; call it after `close`. Does nothing with `databaseUrl`. */
  stopDatabase(): Promise<void>;
}

/** For `guild doctor` and bug reports. */
export interface StorageDescription {
  kind: "embedded" | "url";
  /** Folder of the database, or host and name of the server's; without credentials. */
  location: string;
  serverVersion: string;
  schemaVersion: number;
  /** Of a server of our own. */
  pid: number | undefined;
  databaseBytes: number;
}

/**
 * Opens the storage of `dataDir`, making or starting what is missing; several processes may have it open. Comes back by itself after
 * the database server was killed. Throws what {@link Postgres.ensure} and {@link migrate} throw.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const postgres = options.databaseUrl === undefined ? new Postgres({ ...options, binariesDir: binariesDir(options.dataDir) }) : undefined;
  const database = new Database({ address: async () => (await postgres?.ensure()) ?? remote(options.databaseUrl ?? "") });
  let schemaVersion: number;
  try {
    schemaVersion = await migrate(database);
  } catch (error) {
    await database.close();
    throw error;
  }
  const log = new PostgresEventLog({ ...options, database });
  // Ahead of the first append; whoever appends hears of a failure then.
  log.connect().catch(() => undefined);
  const inDatabase = (options.objects ?? (options.databaseUrl === undefined ? "files" : "database")) === "database";
  const blobs = inDatabase ? new DatabaseBlobStore(database) : new FileBlobStore({ ...options, directory: join(options.dataDir, "blobs") });
  const tasks = new TaskStore(database, (client, session) => log.createSessionWithin(client, session));
  const budgetOf = async (tenant: string, session: string) => (await tasks.ofSession(tenant, session))?.spec.project ?? "";
  return {
    log,
    blobs,
    ...(inDatabase ? { checkpoints: (store: string) => new DatabaseCheckpointStore({ database, store }) } : {}),
    tasks,
    workers: new WorkerRows(database),
    notices: createNotices(database, log),
    budgets: createBudgetLedger(database, budgetOf),
    knowledge: new PostgresOperationStore(database),
    border: createBorderLog(database),
    exportDatabase: async function* () {
      const portable = await import("./export-database.ts");
      yield* portable.exportDatabase(database, blobs);
    },
    importDatabase: async (source) => {
      const portable = await import("./import-database.ts");
      return portable.importDatabase(database, blobs, source);
    },
    describe: async () => {
      const [row] = await database.read<{ version: string; bytes: string }>({
        text: "SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes",
      });
      return {
        kind: postgres === undefined ? "url" : "embedded",
        location: postgres?.databaseDir ?? withoutCredentials(options.databaseUrl ?? ""),
        serverVersion: row?.version ?? "",
        schemaVersion,
        pid: postgres?.pid(),
        databaseBytes: Number(row?.bytes ?? 0),
      };
    },
    close: async () => {
      await log.close();
      await database.close();
    },
    stopDatabase: async () => postgres?.stop(),
  };
}

/** As root the server's programs must lie where an unprivileged user finds them; one copy serves all of root's data directories. */
function binariesDir(dataDir: string): string {
  return process.getuid?.() === 0 ? "/var/lib/guildhall" : dataDir;
}

function remote(url: string): ClientConfig {
  return { connectionString: url, application_name: "guildhall" };
}

function withoutCredentials(url: string): string {
  if (!URL.canParse(url)) return "as configured";
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

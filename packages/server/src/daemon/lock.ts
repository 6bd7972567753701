import { DatabaseSync } from "node:sqlite";

import { GuildError } from "@guildhall/core";

/** A lock that the system frees when its holder dies, however it dies. */
export interface DaemonLock {
  release(): void;
}

/**
 * Takes the lock at `file`. Throws `already_exists` while another process holds it. The lock is that of an empty SQLite database: the
 * one file lock in Node that ends with the process and needs no native addon, so nothing stale is ever to be judged.
 */
export function takeLock(file: string): DaemonLock {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked/.test(error.message)) {
      throw new GuildError("already_exists", "another daemon runs", { subject: file, cause: error });
    }
    throw error;
  }
  return { release: () => database.close() };
}

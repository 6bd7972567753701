import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** What `postmaster.pid` says of the server that has a database open (PostgreSQL's src/include/utils/pidfile.h). */
export interface Postmaster {
  pid: number;
  /** As the server was told; relative to its own view of the file system. */
  socketDir: string;
  /** `ready`, `starting`, `stopping`, …; empty while the file is being written. */
  status: string;
}

/** Undefined when no server has the database open, so far as its files tell. */
export function readPostmasterFile(databaseDir: string): Postmaster | undefined {
  let text: string;
  try {
    text = readFileSync(join(databaseDir, "postmaster.pid"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const lines = text.split("\n");
  return { pid: Number(lines[0]), socketDir: lines[4] ?? "", status: (lines[7] ?? "").trim() };
}

/**
 * Whether process `pid` is a server that works in `databaseDir`: `no` when it is gone or something else (its number was given to
 * another process), `unknown` where the system does not tell.
 */
export function isServerOf(pid: number, databaseDir: string): "yes" | "no" | "unknown" {
  if (!Number.isInteger(pid) || pid <= 0) return "no";
  try {
    process.kill(pid, 0);
  } catch {
    // Gone, or of another user: a server runs as the one who owns the database.
    return "no";
  }
  if (process.platform !== "linux") return isPostgres(pid) ? "unknown" : "no";
  try {
    const there = statSync(`/proc/${pid}/cwd`);
    const here = statSync(databaseDir);
    return there.dev === here.dev && there.ino === here.ino ? "yes" : "no";
  } catch (error) {
    // A killed server that nobody has waited for yet has no working directory any more.
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "no" : "unknown";
  }
}

function isPostgres(pid: number): boolean {
  return spawnSync("ps", ["-o", "comm=", "-p", String(pid)], { encoding: "utf8" }).stdout.includes("postgres");
}

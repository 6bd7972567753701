import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync, statSync, truncateSync } from "node:fs";

import type { Binaries } from "./binaries.ts";
import type { SystemUser } from "./system-user.ts";

const LOG_LIMIT = 8 << 20;

/** Settings for a small database whose every commit counts. */
const SETTINGS = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "256MB",
  checkpoint_timeout: "15min",
  shared_buffers: "32MB",
  max_connections: "40",
  // Threads of its own for reading ahead do nothing for a database that fits in memory.
  io_method: "sync",
  jit: "off",
  max_worker_processes: "0",
  max_logical_replication_workers: "0",
  max_parallel_workers_per_gather: "0",
  huge_pages: "off",
  logging_collector: "off",
  log_min_messages: "warning",
  log_min_error_statement: "panic",
  log_checkpoints: "off",
  idle_in_transaction_session_timeout: "30s",
  client_connection_check_interval: "0",
  timezone: "UTC",
};

/** A server on its way up. */
export class ServerStart {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #logStart: number;
  ended = false;

  constructor(binaries: Binaries, user: SystemUser | undefined, databaseDir: string, socketDir: string, logFile: string) {
    this.#logFile = logFile;
    if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT) truncateSync(logFile);
    const open: number[] = [];
    const descriptor = (path: string, flags: string) => {
      open.push(openSync(path, flags, 0o600));
      return open.at(-1) as number;
    };
    try {
      const log = descriptor(logFile, "a");
      this.#logStart = fstatSync(log).size;
      const settings = {
        ...SETTINGS,
        // Shown by ps, where the data directory is not.
        cluster_name: databaseDir.replaceAll(/[^ -~]/g, "?").slice(-63),
        unix_socket_directories: `"${user === undefined ? socketDir : "/proc/self/fd/4"}",.`,
      };
      const handed = user === undefined ? [] : [descriptor(databaseDir, "r"), descriptor(socketDir, "r")];
      const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
      this.#child = spawn(binaries.postgres, ["-D", user === undefined ? databaseDir : "/proc/self/fd/3", ...args], {
        ...user,
        cwd: "/",
        detached: true,
        env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
        stdio: ["ignore", log, log, ...handed],
      });
    } finally {
      for (const fd of open) closeSync(fd);
    }
    this.#child.once("exit", () => (this.ended = true));
    this.#child.once("error", (error) => {
      this.ended = true;
      this.#error = error;
    });
  }

  #error: Error | undefined;

  get pid(): number | undefined {
    return this.#child.pid;
  }

  detach(): void {
    this.#child.unref();
  }

  /** What it said since it was started. */
  lastWords(): string {
    if (this.#error !== undefined) return this.#error.message;
    return readFileSync(this.#logFile).subarray(this.#logStart).toString();
  }
}

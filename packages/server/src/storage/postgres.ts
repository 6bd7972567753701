import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, statSync, truncateSync } from "node:fs";
import { chmod, chown, mkdtemp, readdir, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import { type Binaries, findBinaries } from "./binaries.ts";
import { isServerOf, readPostmasterFile } from "./postmaster-file.ts";
import { databaseUser, type SystemUser } from "./system-user.ts";

const MAJOR = "18";
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 4;
const LOG_LIMIT = 8 << 20;
/** `sun_path` with its final zero. */
const LONGEST_SOCKET_PATH = 107;

export interface PostgresOptions {
  /** Holds the database in `postgres/` and the server's log in `postgres.log`. */
  dataDir: string;
  /** Holds the server's socket in `pg/`. */
  runtimeDir: string;
  /** Where a copy of the programs goes if one is needed. */
  binariesDir: string;
}

/** How to reach a server: a folder with its Unix socket. */
export interface ServerAddress {
  host: string;
  user: string;
  database: string;
}

/**
 * The PostgreSQL server of one data directory: made, started and adopted as needed. The server lives on when this process ends, and
 * the next one adopts it. It listens on Unix sockets only, in folders that nobody else may enter.
 *
 * As root the server runs as an unprivileged user (see {@link databaseUser}). It is handed its folders as open descriptors, so that
 * they may lie where that user could not go, such as root's home.
 */
export class Postgres {
  readonly databaseDir: string;
  readonly logFile: string;
  readonly #options: PostgresOptions;
  readonly #runtimeSocketDir: string;
  #ensuring: Promise<ServerAddress> | undefined;

  constructor(options: PostgresOptions) {
    this.#options = options;
    this.databaseDir = join(options.dataDir, "postgres");
    this.logFile = join(options.dataDir, "postgres.log");
    this.#runtimeSocketDir = join(options.runtimeDir, "pg");
  }

  /**
   * Resolves once a server accepts connections: the one that runs, or a new one. Throws `version_mismatch` for a database of another
   * PostgreSQL, `storage_full`, `permission_denied`, and `unavailable` with the server's own words for the rest.
   */
  ensure(): Promise<ServerAddress> {
    this.#ensuring ??= this.#ensure().finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  /** Process id of the server that runs, whoever started it. */
  pid(): number | undefined {
    const file = readPostmasterFile(this.databaseDir);
    return file !== undefined && isServerOf(file.pid, this.databaseDir) !== "no" ? file.pid : undefined;
  }

  /** Stops the server that runs, whoever started it; its connections are closed and nothing is lost. */
  async stop(): Promise<void> {
    const pid = this.pid();
    if (pid === undefined) return;
    process.kill(pid, "SIGINT");
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (isServerOf(pid, this.databaseDir) !== "no") {
      if (performance.now() > deadline) {
        throw new GuildError("deadline_exceeded", "the database server does not stop", { subject: `process ${pid}` });
      }
      await sleep(POLL_MS);
    }
  }

  async #ensure(): Promise<ServerAddress> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      const state = this.#state();
      if (state.is === "ready") return state.address;
      if (state.is === "absent") await this.#launch(deadline);
      else await sleep(POLL_MS);
      if (performance.now() > deadline) {
        throw new GuildError("deadline_exceeded", "the database server does not become ready", {
          subject: this.logFile,
          remedy: "see the end of that file",
        });
      }
    }
  }

  #state(): { is: "ready"; address: ServerAddress } | { is: "changing" } | { is: "absent" } {
    let version: string;
    try {
      version = readFileSync(join(this.databaseDir, "PG_VERSION"), "utf8").trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return { is: "absent" };
      throw notOurs(this.databaseDir, error);
    }
    if (version !== MAJOR) {
      throw new GuildError("version_mismatch", `the database is of PostgreSQL ${version}, this Guildhall brings ${MAJOR}`, {
        subject: this.databaseDir,
        remedy: "export it with the Guildhall that made it (`guild db export`), move it away, and import it here",
      });
    }
    const file = readPostmasterFile(this.databaseDir);
    if (file === undefined) return { is: "absent" };
    if (isServerOf(file.pid, this.databaseDir) === "no") return { is: "absent" };
    if (file.status !== "ready") return { is: "changing" };
    const host = this.#socketDirs().find((directory) => existsSync(join(directory, ".s.PGSQL.5432")));
    if (host === undefined) {
      throw new GuildError("unavailable", `the database server (process ${file.pid}) has lost its socket`, {
        subject: this.#runtimeSocketDir,
        remedy: `stop it with \`kill -INT ${file.pid}\` and try again`,
      });
    }
    return { is: "ready", address: { host, user: "guildhall", database: "postgres" } };
  }

  /** The server has a socket in both where the path is not too long; the one with the data outlives a runtime folder that the system clears. */
  #socketDirs(): string[] {
    return [this.#runtimeSocketDir, this.databaseDir].filter(
      (directory) => Buffer.byteLength(join(directory, ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH,
    );
  }

  async #launch(deadline: number): Promise<void> {
    const { dataDir, runtimeDir, binariesDir } = this.#options;
    for (const directory of [dataDir, runtimeDir]) mkdirSync(directory, { recursive: true, mode: 0o700 });
    const user = process.getuid?.() === 0 ? await databaseUser(this.databaseDir) : undefined;
    const binaries = await findBinaries(binariesDir, user);
    if (!existsSync(this.databaseDir)) await this.#initialise(binaries, user);
    mkdirSync(this.#runtimeSocketDir, { recursive: true, mode: 0o700 });
    if (user !== undefined) chownSync(this.#runtimeSocketDir, user.uid, user.gid);
    await this.#removeStaleFile();
    const server = new ServerStart(binaries, user, this.databaseDir, this.#runtimeSocketDir, this.logFile);
    while (!server.ended) {
      const file = readPostmasterFile(this.databaseDir);
      if (file?.pid === server.pid && file?.status === "ready") return server.detach();
      if (performance.now() > deadline) return server.detach();
      await sleep(POLL_MS);
    }
    const message = server.lastWords();
    // Another process was faster, or the children of a killed server are just ending.
    if (/lock file "[^"]*" already exists|is another postmaster|shared memory block .* in use/.test(message)) {
      await sleep(POLL_MS * 5);
      return;
    }
    throw startError(message, this.databaseDir, this.logFile);
  }

  /** Made apart and renamed, so that a half-made database is never taken for one and two makers cannot meet. */
  async #initialise(binaries: Binaries, user: SystemUser | undefined): Promise<void> {
    await this.#removeLeftovers();
    const temporary = await mkdtemp(join(this.#options.dataDir, `postgres.new.${process.pid}.`));
    try {
      if (user !== undefined) await chown(temporary, user.uid, user.gid);
      await initialise(binaries, user, temporary);
      await rename(temporary, this.databaseDir);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    }
  }

  async #removeLeftovers(): Promise<void> {
    for (const name of await readdir(this.#options.dataDir)) {
      const maker = /^postgres\.new\.(\d+)\./.exec(name)?.[1];
      if (maker === undefined || isAlive(Number(maker))) continue;
      await rm(join(this.#options.dataDir, name), { recursive: true, force: true });
    }
  }

  /** The server refuses to start while the process number in the file is anybody's; we know better whose it is. */
  async #removeStaleFile(): Promise<void> {
    const file = readPostmasterFile(this.databaseDir);
    if (file === undefined || isServerOf(file.pid, this.databaseDir) !== "no") return;
    await unlink(join(this.databaseDir, "postmaster.pid")).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    });
  }
}

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
  log_checkpoints: "off",
  idle_in_transaction_session_timeout: "30s",
  client_connection_check_interval: "0",
  timezone: "UTC",
};

/** A server on its way up. */
class ServerStart {
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
      const settings = { ...SETTINGS, unix_socket_directories: `"${user === undefined ? socketDir : "/proc/self/fd/4"}",.` };
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

async function initialise(binaries: Binaries, user: SystemUser | undefined, directory: string): Promise<void> {
  const fd = user === undefined ? undefined : openSync(directory, "r");
  try {
    const output = await run(
      spawn(
        binaries.initdb,
        [
          "-D",
          fd === undefined ? directory : "/proc/self/fd/3",
          "-U",
          "guildhall",
          "--auth=trust",
          "--encoding=UTF8",
          "--locale=C",
          "--no-instructions",
        ],
        {
          ...user,
          cwd: "/",
          env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
          stdio: ["ignore", "pipe", "pipe", ...(fd === undefined ? [] : [fd])],
        },
      ),
    );
    if (output.failed) throw startError(output.text, directory, undefined);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  await chmod(directory, 0o700);
}

async function run(child: ChildProcess): Promise<{ failed: boolean; text: string }> {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const { promise, resolve } = Promise.withResolvers<boolean>();
  child.once("error", (error) => {
    text += error.message;
    resolve(true);
  });
  child.once("close", (code) => resolve(code !== 0));
  return { failed: await promise, text };
}

function startError(output: string, subject: string, logFile: string | undefined): GuildError {
  const line =
    output
      .split("\n")
      .findLast((text) => /FATAL|PANIC|error:/.test(text))
      ?.replace(/^.*?(FATAL|PANIC|error): */, "") ??
    output.trim().split("\n").at(-1) ??
    "";
  const cause = new GuildError("internal", output.slice(-4000));
  if (/No space left on device|Disk quota exceeded/.test(output)) {
    return new GuildError("storage_full", "no room for the database", { subject, remedy: "free some disk space there", cause });
  }
  if (/database files are incompatible|not compatible with this version/.test(output)) {
    return new GuildError("version_mismatch", `PostgreSQL cannot read the database: ${line}`, {
      subject,
      remedy: "export it with the Guildhall that made it (`guild db export`), move it away, and import it here",
      cause,
    });
  }
  if (/Permission denied|invalid permissions|wrong ownership|EACCES/.test(output)) return notOurs(subject, cause);
  if (/could not look up effective user ID/.test(output)) {
    return new GuildError("failed_precondition", "PostgreSQL cannot run as a user without a name", {
      subject: `uid ${process.getuid?.()}`,
      remedy: "add the user to /etc/passwd, or set DATABASE_URL to a PostgreSQL server",
      cause,
    });
  }
  return new GuildError("unavailable", `the database server does not start: ${line}`, {
    subject,
    remedy: logFile === undefined ? "check the folder" : `see the end of ${logFile}`,
    cause,
  });
}

function notOurs(subject: string, cause: unknown): GuildError {
  return new GuildError("permission_denied", "the database belongs to another user or is open to others", {
    subject,
    remedy: "run guild as its owner, and keep the folder at mode 0700",
    cause,
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

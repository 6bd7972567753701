import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { chown, mkdtemp, readdir, rename, rm, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import { type Binaries, findBinaries } from "./binaries.ts";
import { initialise } from "./initialise.ts";
import { isServerOf, readPostmasterFile } from "./postmaster-file.ts";
import { notOurs, startError } from "./server-errors.ts";
import { ServerStart } from "./server-start.ts";
import { databaseUser, type SystemUser } from "./system-user.ts";

const MAJOR = "18";
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 4;
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
    if (readPostmasterFile(this.databaseDir) === undefined) await this.#removeStaleLocks();
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
    await removeFile(join(this.databaseDir, "postmaster.pid"));
  }

  /** The same of a killed server's sockets: each has a file with its process number. Where somebody listens it is left alone. */
  async #removeStaleLocks(): Promise<void> {
    for (const directory of this.#socketDirs()) {
      const socket = join(directory, ".s.PGSQL.5432");
      if (existsSync(`${socket}.lock`) && !(await isListenedTo(socket))) await removeFile(`${socket}.lock`);
    }
  }
}

async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  });
}

async function isListenedTo(socket: string): Promise<boolean> {
  const connection = connect(socket);
  try {
    await once(connection, "connect");
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ECONNREFUSED" && code !== "ENOENT";
  } finally {
    connection.destroy();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

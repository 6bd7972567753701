import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import type { Duplex } from "node:stream";

import { GuildError } from "@guildhall/core";

import { InitConnection } from "./wire/connection.ts";

/** Number of the connection's descriptor in the init. */
export const CONNECTION_FD = 3;

/** How the message of a failed start begins. */
export const DID_NOT_START = "the sandbox did not start";

const LONGEST_COMPLAINT = 4096;
const STOP_PATIENCE_MS = 3000;

/** A started init, or the chain of programs that becomes one, and the connection to it. */
export interface InitProcess {
  connection: InitConnection;
  /** Process id on the host of what was spawned. */
  pid: number;
  /** Resolves when it has ended; by force when it does not end by itself within three seconds of being told. */
  stop(): Promise<void>;
}

/**
 * Spawns an init and waits until it answers. Descriptors beyond the connection come from `extra`.
 * Throws `failed_precondition` with what it said on stderr.
 */
export async function startInit(command: string, args: string[], extra: Array<number | "ignore"> = []): Promise<InitProcess> {
  return await answered(await spawnInit(command, args, extra));
}

/** A process that is to become an init, or whose child is. */
export interface SpawnedInit {
  child: ChildProcess;
  pid: number;
  /** The connection, of which nothing has been read. */
  stream: Duplex;
  /** How it ended. */
  ended: Promise<string>;
  /** The last of what it has said on stderr, one line. */
  complaint(): string;
}

/** Spawns without waiting for anything. Throws `failed_precondition`. */
export async function spawnInit(command: string, args: string[], extra: Array<number | "ignore" | "pipe">): Promise<SpawnedInit> {
  const stdio: StdioOptions = ["ignore", "ignore", "pipe", "pipe", ...extra];
  const child = spawn(command, args, { stdio, env: {}, cwd: "/", detached: true });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  const stream = child.stdio[CONNECTION_FD];
  let said = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    if (said.length < LONGEST_COMPLAINT) said += bytes.toString("utf8");
  });
  if (stream === null || stream === undefined || child.pid === undefined) {
    throw new GuildError("failed_precondition", `cannot start ${command}: ${await ended}`, { subject: command });
  }
  const complaint = (): string => said.trim().split("\n").slice(-3).join("; ");
  return { child, pid: child.pid, stream: stream as Duplex, ended, complaint };
}

/** Waits until the init answers. Throws `failed_precondition` with what it said, the process ended. */
export async function answered({ child, pid, stream, ended, complaint }: SpawnedInit): Promise<InitProcess> {
  const connection = new InitConnection(stream);
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    await connection.ready();
  } catch (error) {
    stream.destroy();
    killWhole(child);
    const how = await ended;
    await closed;
    const said = complaint();
    throw new GuildError("failed_precondition", `${DID_NOT_START}: ${said === "" ? how : said}`, { cause: error });
  }
  return { connection, pid, stop: () => endInit(child, ended) };
}

/**
 * Kills what was spawned and what it has started: bubblewrap's own child, until it is let on, waits for its parent for ever. A connection that is
 * closed ends the rest.
 */
export function killWhole({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Waits for a process that has been told to end, or whose connection is closed; by force when it takes too long. */
export async function endInit(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const timer = setTimeout(() => killWhole(child), STOP_PATIENCE_MS);
    await ended;
    clearTimeout(timer);
  }
  child.stderr?.destroy();
}

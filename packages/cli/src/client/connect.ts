import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { GuildError } from "@guildhall/core";
import { buildVersion, VERSION } from "@guildhall/core/paths";
import { type GetInfoResponse, PROTOCOL_VERSION, SessionService, SystemService, ToolService } from "@guildhall/protocol";

import type { Context } from "./context.ts";
import { daemonEntry, startDaemon } from "./daemon-process.ts";
import { withGuildErrors } from "./errors.ts";

/** A connection to the daemon, its version checked. */
export interface Connection {
  readonly info: GetInfoResponse;
  readonly sessions: Client<typeof SessionService>;
  readonly tools: Client<typeof ToolService>;
  readonly system: Client<typeof SystemService>;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Connects to the daemon of this person, and starts one when there is none. See {@link connectToCurrent} for what happens to one of another build. */
export async function connect(context: Context): Promise<Connection> {
  return (await connectToCurrent(context)) ?? (await start(context));
}

/**
 * The daemon that runs, if it can be used; starts none. An idle one of another build is ended (and undefined returned); a busy one is used if it
 * speaks our protocol (with a line on stderr), else `version_mismatch`.
 */
export async function connectToCurrent(context: Context): Promise<Connection | undefined> {
  const running = await connectToRunning(context);
  if (running === undefined || running.info.version === buildVersion(daemonEntry())) return running;
  const { info } = running;
  if (info.runningSessions === 0) {
    await shutDown(running, false);
    return undefined;
  }
  const speaks = info.protocolMin <= PROTOCOL_VERSION && PROTOCOL_VERSION <= info.protocolMax;
  const busy = `the running daemon is version ${info.version}, this is ${VERSION}, and ${info.runningSessions} session(s) run`;
  if (!speaks) {
    running.close();
    throw new GuildError("version_mismatch", busy, { remedy: "wait for them, or stop it with guild down" });
  }
  context.stderr.write(`guild: ${busy}; it is replaced when they have ended\n`);
  return running;
}

/** The daemon that runs, of whatever version, or undefined; starts none. */
export async function connectToRunning(context: Context): Promise<Connection | undefined> {
  const socket = await dial(context.paths.socket);
  if (socket === undefined) return undefined;
  const manager = new Http2SessionManager("http://guildhall.local", {}, { createConnection: () => socket });
  const transport = createConnectTransport({
    httpVersion: "2",
    baseUrl: "http://guildhall.local",
    sessionManager: manager,
    useBinaryFormat: true,
  });
  const system = withGuildErrors(createClient(SystemService, transport));
  const info = await system.getInfo({ clientVersion: VERSION, protocol: PROTOCOL_VERSION }).catch((error: unknown) => {
    manager.abort();
    throw error;
  });
  return {
    info,
    system,
    sessions: withGuildErrors(createClient(SessionService, transport)),
    tools: withGuildErrors(createClient(ToolService, transport)),
    closed: new Promise((resolve) => socket.once("close", () => resolve())),
    close: () => manager.abort(),
  };
}

/** Asks the daemon to end, and waits until it has: it cuts the connection as its last act. */
export async function shutDown(connection: Connection, now: boolean): Promise<void> {
  await connection.system.shutdown({ now });
  // An idle connection does not keep this process alive.
  const awake = setInterval(() => undefined, 60_000);
  await connection.closed.finally(() => clearInterval(awake));
}

/** Longest time from the first start to the first answer, milliseconds: the first of all makes the database. */
const startLimit = 60_000;

async function start(context: Context): Promise<Connection> {
  const began = performance.now();
  while (performance.now() - began < startLimit) {
    const state = await startDaemon(context);
    // `held`: another starter's daemon has the lock and opens its socket within milliseconds; or a daemon is just ending, and the next
    // round starts one.
    for (let attempt = 0; attempt < (state === "held" ? 20 : 1); attempt++) {
      const connection = await connectToRunning(context);
      if (connection !== undefined) return connection;
      await sleep(10);
    }
  }
  throw new GuildError("unavailable", "the daemon does not answer", { subject: context.paths.socket, remedy: `see ${context.paths.log}` });
}

/** undefined: nobody listens there, or nothing is there. */
function dial(path: string): Promise<net.Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") return resolve(undefined);
      reject(
        new GuildError("permission_denied", `cannot reach the daemon: ${error.message}`, {
          subject: path,
          remedy: "is it another user's?",
          cause: error,
        }),
      );
    });
  });
}

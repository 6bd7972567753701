import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import type { Client } from "@connectrpc/connect";
import { GuildError } from "@guildhall/core";
import { buildVersion, VERSION } from "@guildhall/core/paths";
import {
  AccessService,
  PortsService,
  ResultsService,
  ApprovalService,
  BudgetService,
  EnvironmentService,
  type GetInfoResponse,
  KnowledgeService,
  ModelService,
  ExtensionService,
  PoolService,
  PROTOCOL_VERSION,
  SessionService,
  SystemService,
  TaskService,
  ToolService,
} from "@guildhall/protocol";

import type { Context } from "./context.ts";
import { daemonEntry, startDaemon } from "./daemon-process.ts";
import { openWire, type WireTarget } from "./wire.ts";

/** A connection to the daemon, its version checked. */
export interface Connection {
  readonly info: GetInfoResponse;
  /** Path of the daemon's socket. */
  readonly socket: string;
  readonly sessions: Client<typeof SessionService>;
  /** All but `exec`, which streams both ways: see `openExec`. */
  readonly tools: Omit<Client<typeof ToolService>, "exec">;
  readonly system: Client<typeof SystemService>;
  readonly access: Client<typeof AccessService>;
  /** All but `connectPort`, which streams both ways: see `openPorts`. */
  readonly ports: Omit<Client<typeof PortsService>, "connectPort">;
  readonly results: Client<typeof ResultsService>;
  readonly knowledge: Client<typeof KnowledgeService>;
  readonly tasks: Client<typeof TaskService>;
  readonly pool: Client<typeof PoolService>;
  readonly budgets: Client<typeof BudgetService>;
  readonly environments: Client<typeof EnvironmentService>;
  readonly models: Client<typeof ModelService>;
  readonly extensions: Client<typeof ExtensionService>;
  readonly approvals: Client<typeof ApprovalService>;
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
  if (running === undefined || running.info.version === buildVersion(daemonEntry()) || gatewayOf(context) !== undefined) return running;
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
  const { socket } = context.paths;
  const gateway = gatewayOf(context);
  const wire = openWire(gateway ?? socket);
  const system = wire.client(SystemService);
  try {
    const info = await system.getInfo({ clientVersion: VERSION, protocol: PROTOCOL_VERSION });
    return {
      info,
      socket,
      system,
      sessions: wire.client(SessionService),
      tools: wire.client(ToolService),
      access: wire.client(AccessService),
      ports: wire.client(PortsService),
      results: wire.client(ResultsService),
      knowledge: wire.client(KnowledgeService),
      tasks: wire.client(TaskService),
      pool: wire.client(PoolService),
      budgets: wire.client(BudgetService),
      environments: wire.client(EnvironmentService),
      models: wire.client(ModelService),
      extensions: wire.client(ExtensionService),
      approvals: wire.client(ApprovalService),
      close: () => wire.close(),
    };
  } catch (error) {
    wire.close();
    const reason =
      GuildError.is(error, "unavailable") && error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
    if (gateway !== undefined && gateway.ca === undefined && (reason === "ECONNRESET" || reason === "EPIPE"))
      throw new GuildError("unavailable", "the gateway hangs up", {
        subject: context.env["GUILD_GATEWAY"] ?? "",
        remedy: "if it speaks TLS, GUILD_GATEWAY is https://host:port",
        cause: error,
      });
    if (gateway !== undefined && typeof reason === "string" && notThere.has(reason))
      throw new GuildError("unavailable", "the gateway does not answer", {
        subject: context.env["GUILD_GATEWAY"] ?? "",
        remedy: "check GUILD_GATEWAY, or unset it to use your own daemon",
        cause: error,
      });
    if (typeof reason === "string" && notThere.has(reason)) return undefined;
    if (reason !== "EACCES") throw error;
    throw new GuildError("permission_denied", "the daemon's socket cannot be opened", {
      subject: socket,
      remedy: "is it another user's?",
      cause: error,
    });
  }
}

/** Nothing is there, nobody listens there any more, or whoever did was just ending. */
const notThere: ReadonlySet<string> = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE"]);

/** A gateway that the environment names instead of one's own daemon: `GUILD_GATEWAY`, with the token `GUILD_TOKEN`. */
function gatewayOf({ env }: Context): WireTarget | undefined {
  const address = env["GUILD_GATEWAY"] ?? "";
  if (address === "") return undefined;
  const match = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:]+\]|[^:/]+):(\d{1,5})$/.exec(address);
  if (match === null) throw new GuildError("invalid_argument", `GUILD_GATEWAY is no address: ${address}`, { remedy: "write host:port" });
  const certificate = env["GUILD_GATEWAY_CA"] ?? "";
  return {
    host: match[2] ?? "",
    port: Number(match[3]),
    token: env["GUILD_TOKEN"] ?? "",
    ...(match[1] === "https" || certificate !== "" ? { ca: certificate } : {}),
  };
}

/** Asks the daemon to end, and waits until it has: it cuts the connections as its last act. */
export async function shutDown(connection: Connection, now: boolean): Promise<void> {
  const witness = net.connect(connection.socket);
  const ended = new Promise<void>((resolve) => witness.once("close", () => resolve()).once("error", () => resolve()));
  await connection.system.shutdown({ now });
  connection.close();
  await ended;
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

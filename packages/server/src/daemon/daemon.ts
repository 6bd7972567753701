import { existsSync, mkdirSync, watch } from "node:fs";

import { type FaultPoints, GuildError } from "@guildhall/core";
import { ensureRuntimeDirectory, type Paths } from "@guildhall/core/paths";
import { readSettings } from "@guildhall/core/settings";

import type { Listener, RequestHandler } from "../rpc/listen.ts";
import { SCHEMA_VERSION } from "../storage/migrations.ts";
import { watchIdle } from "./idle.ts";
import { takeLock } from "./lock.ts";
import type { Log } from "./log.ts";

export interface DaemonOptions {
  paths: Paths;
  uid: number;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
  /** Version and build, as clients compare it. */
  version: string;
  /** TCP address to listen on too; default: the setting `daemon.listen`. */
  listen?: string;
  /** Program and arguments that run the network's broker. */
  brokerProgram: readonly [string, ...string[]];
  /** Told why this process ends by itself. */
  failed?(error: GuildError): void;
}

/** The running daemon of one person. */
export interface Daemon {
  readonly addresses: string[];
  /** Begins to end: running sessions stop at a safe point, or `now`. May be called again, to hurry. */
  stop(options: { now: boolean }): void;
  /** Resolves when everything has been closed. */
  readonly ended: Promise<void>;
}

/**
 * Starts the daemon: lock, socket, database and code at the same time, then the services. Requests that come before it is ready wait. Throws
 * `already_exists` when another daemon holds the lock, and whatever keeps the database from starting.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { paths, log } = options;
  ensureRuntimeDirectory(paths, options.uid);
  for (const directory of [paths.data, paths.state]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = takeLock(paths.lock);
  const began = performance.now();
  try {
    const { settings } = readSettings(paths.settingsFile, options.env);
    // The database takes longest: it starts while the rest of the code is loaded.
    const faults = await programFaults(options.env["GUILD_FAULTS"]);
    const storage = import("../storage/index.ts").then(({ openStorage, storagePlace }) =>
      openStorage({ ...storagePlace(paths, settings), ...faults }),
    );
    const ready = Promise.withResolvers<RequestHandler>();
    // Their failures are thrown below, where they are awaited; until then nobody listens.
    for (const early of [ready.promise, storage]) early.catch(() => undefined);
    const { listenOnSocket, listenOnTcp, parseAddress } = await import("../rpc/listen.ts");

    const ended = Promise.withResolvers<void>();
    let stopping: Promise<void> | undefined;
    let hurry = (): void => undefined;
    const idle = watchIdle(settings.daemon.idle_minutes * 60_000, () => {
      log.info("idle: ending");
      tidyAndStop();
    });
    const listening = { handler: deferred(ready.promise), connected: () => idle.busy() };
    const listeners: Listener[] = [await listenOnSocket(paths.socket, listening)];
    const addresses = listeners.map((listener) => listener.address);

    const { composeServices } = await import("./services.ts");
    const services = await composeServices({
      ...options,
      ...faults,
      addresses,
      storage: await storage,
      schema: SCHEMA_VERSION,
      busy: () => idle.busy(),
      stop: (how) => stop(how),
    });
    const listen = options.listen ?? settings.daemon.listen;
    if (listen !== "") {
      const { requireToken } = await import("../rpc/token.ts");
      const handler = requireToken(paths.token, services.handler);
      const tcp = await listenOnTcp(parseAddress(listen), { ...listening, handler });
      listeners.push(tcp);
      addresses.push(tcp.address);
      log.info(`listening on ${tcp.address}, token in ${paths.token}`);
    }
    ready.resolve(services.handler);
    log.info(`version ${options.version} ready after ${Math.round(performance.now() - began)} ms`);

    // Once the first client has its answer: what most sessions need is loaded before they ask for it.
    setTimeout(() => {
      services.warmUp().catch((error: unknown) => log.error("warm-up", error));
      services.resumeOrphans().catch((error: unknown) => log.error("orphaned sessions were not taken up", error));
    }, 50).unref();
    // A daemon that has nothing to do any more frees what nobody needs before it ends; one that stays does so once a day.
    const tidy = (): Promise<void> =>
      services.collectCheckpoints().catch((error: unknown) => log.error("checkpoints were not collected", error));
    const tidying = setInterval(() => void tidy(), 24 * 3_600_000).unref();
    const tidyAndStop = (): void => void tidy().then(() => stop({ now: false }));
    const stop = (how: { now: boolean }): void => {
      if (how.now) hurry();
      stopping ??= (async () => {
        idle.stop();
        clearInterval(tidying);
        hurry = () => void services.stopSessions({ now: true });
        for (const listener of listeners) listener.refuse();
        await services.stopSessions(how);
        await services.close();
        lock.release();
        await Promise.all(listeners.map((listener) => listener.close()));
        log.info("ended");
      })().then(ended.resolve, ended.reject);
    };
    // Something that tidies temporary directories took the socket away: nobody could reach this daemon any more.
    const watcher = watch(paths.runtime, () => {
      if (stopping !== undefined || existsSync(paths.socket)) return;
      log.warn("the socket was removed: ending");
      stop({ now: false });
    });
    watcher.unref();
    return { addresses, stop, ended: ended.promise };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Faults that a test asked for; in production none, and their code is not loaded. */
async function programFaults(text: string | undefined): Promise<{ faults?: FaultPoints }> {
  if (text === undefined || text === "") return {};
  const { parseFaults, ProgrammedFaults } = await import("@guildhall/core/testing/fault-points");
  return { faults: new ProgrammedFaults(parseFaults(text)) };
}

/** Holds requests back until the services are there. */
function deferred(ready: Promise<RequestHandler>): RequestHandler {
  let handler: RequestHandler = (request, response) => {
    ready.then(
      (services) => services(request, response),
      (error: unknown) => {
        response.statusCode = 503;
        response.end(GuildError.from(error).line);
      },
    );
  };
  ready.then(
    (services) => (handler = services),
    () => undefined,
  );
  return (request, response) => handler(request, response);
}

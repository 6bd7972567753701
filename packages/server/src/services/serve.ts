import { existsSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";

import type { DescService } from "@bufbuild/protobuf";
import { type ConnectRouter, createClient } from "@connectrpc/connect";
import { type Clock, GuildError, systemClock } from "@guildhall/core";
import { ensureRuntimeDirectory } from "@guildhall/core/paths";
import { readSettings, type Settings } from "@guildhall/core/settings";
import * as protocol from "@guildhall/protocol";
import { BlobService, CheckpointService, EnrolmentService, LedgerService, LogService, WorkerService } from "@guildhall/protocol/internal";

import { enrol } from "../certs/enrol.ts";
import { readCertificates } from "../certs/private-authority.ts";
import { currentSettings } from "../daemon/current-settings.ts";
import type { Daemon, DaemonOptions } from "../daemon/daemon.ts";
import { takeLock } from "../daemon/lock.ts";
import type { Services, ServicesOptions } from "../daemon/services.ts";
import { remoteKnowledge } from "../knowledge/remote-knowledge.ts";
import { openModelProvider } from "../models/open-provider.ts";
import { modelRouting } from "../models/routing.ts";
import type { Pool } from "../pool/compose-pool.ts";
import type { Dispatcher } from "../pool/dispatcher.ts";
import { ledgerService, workerService } from "../pool/pool-services.ts";
import { POOL_TIMES } from "../pool/pool-times.ts";
import { createServiceHandler, type ServiceHandler } from "../rpc/handler.ts";
import { listenOnTls, requireCertificate } from "../rpc/listen-tls.ts";
import { listenOnTcp, parseAddress } from "../rpc/listen.ts";
import { modelService } from "../rpc/model-service.ts";
import { isLoopback, openPeer, type Peer } from "../rpc/peer.ts";
import { readToken, requireTokenOf } from "../rpc/token.ts";
import type { LocalWorkers } from "../scaling/local-workers.ts";
import { withMetrics } from "../scaling/metrics.ts";
import { enrolmentService } from "./enrolment-service.ts";
import { failover } from "./failover.ts";
import { forwardService, type Onward } from "./forward.ts";
import { logService } from "./log-service.ts";
import { blobService, checkpointService } from "./object-services.ts";
import { peerClock, type PeerTime } from "./peer-clock.ts";
import { remoteModels } from "./remote-models.ts";
import { remoteCheckpointStores, remoteStorage } from "./remote-storage.ts";
import type { ServiceSeams } from "./service-seams.ts";

export const SERVICE_NAMES = ["gateway", "orchestrator", "worker", "models", "knowledge"] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export interface ServeOptions extends DaemonOptions {
  names: readonly string[];
  /** Orchestrators to join, separated by commas; default: the setting. */
  join?: string;
}

/** The names of services, checked. Throws `invalid_argument` that names them all. */
export function parseServiceNames(names: readonly string[]): ReadonlySet<ServiceName> {
  const known = new Set<ServiceName>();
  for (const name of names) {
    const found = SERVICE_NAMES.find((one) => one === name);
    if (found === undefined)
      throw new GuildError("invalid_argument", `there is no service ${name}`, {
        remedy: `take one or more of ${SERVICE_NAMES.join(", ")}`,
      });
    known.add(found);
  }
  return known;
}

/**
 * Runs these services in this process, on one port. What is not among them is reached over the network: a worker, a gateway and so on find the
 * orchestrator at `join`. Ends as the daemon does: at a safe point, or at once when asked twice.
 */
export async function startServices(options: ServeOptions): Promise<Daemon> {
  const names = parseServiceNames(options.names);
  const { paths, log, env } = options;
  ensureRuntimeDirectory(paths, options.uid);
  for (const directory of [paths.data, paths.state]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { settings } = readSettings(paths.settingsFile, env);
  const token = settings.services.token === "" ? readToken(paths.token) : settings.services.token;
  const certificates = await certificatesOf(options, settings, names);
  const peers: Peer[] = [];
  const reach = (address: string, time: Partial<PeerTime> = {}): Peer => {
    const security = { token, ...(certificates === undefined ? {} : { tls: certificates }) };
    const peer = openPeer(address, security, time);
    peers.push(peer);
    return peer;
  };
  const where = parseAddress(options.listen ?? `127.0.0.1:${usualPort(names)}`);
  if (certificates === undefined && !isLoopback(where.host))
    throw new GuildError("failed_precondition", "plain text is served on loopback only", {
      subject: options.listen ?? "",
      remedy: "listen on 127.0.0.1, or make certificates with guild certs init and name them with services.certs",
    });
  const ended = Promise.withResolvers<void>();
  let stop: Daemon["stop"] = () => undefined;
  const part = await compose(names, { options, settings, reach, stop: (how) => stop(how) });
  const { pool } = part;
  const inner = pool === undefined ? part.served.handler : withMetrics(() => pool.dispatcher, part.served.handler);
  // Over TLS the certificate has proved whose name it is.
  const handler = requireTokenOf(token, inner, certificates === undefined ? namesOf(settings.services.hosts) : ["*"]);
  const connected = () => () => undefined;
  const listener =
    certificates === undefined
      ? await listenOnTcp(where, { handler, connected })
      : await listenOnTls(where, certificates, { handler: requireCertificate(part.served.handler, handler, unenrolled), connected });
  part.begin(listener.address, token);
  log.info(`${[...names].join(", ")} at ${listener.address}`);
  let stopping: Promise<void> | undefined;
  stop = (how) => {
    if (how.now) part.hurry();
    stopping ??= (async () => {
      part.served.health.set(false);
      listener.refuse();
      await part.end(how);
      for (const peer of peers) peer.close();
      await listener.close();
      log.info("ended");
    })().then(ended.resolve, ended.reject);
  };
  return { addresses: [listener.address], stop: (how) => stop(how), ended: ended.promise };
}

/** Asked by those who have neither certificate nor token yet. */
const unenrolled = `/${EnrolmentService.typeName}/`;

/** The certificate that the settings name, or the one that a join token brings and brought. */
async function certificatesOf(options: ServeOptions, settings: Settings, names: ReadonlySet<ServiceName>) {
  const { certs, join_token: token } = settings.services;
  if (certs !== "") return readCertificates(certs);
  const own = join(options.paths.data, "certificates");
  if (token !== "") await enrol(joinOf(options, settings, names), token, own);
  return existsSync(join(own, "cert.pem")) ? readCertificates(own) : undefined;
}

/** A running set of services. */
interface Part {
  served: ServiceHandler;
  /** Of an orchestrator. */
  pool?: Pool;
  /** Called when it can be reached at `address`. */
  begin(address: string, token: string): void;
  hurry(): void;
  end(how: { now: boolean }): Promise<void>;
}

interface Surroundings {
  options: ServeOptions;
  settings: Settings;
  reach(address: string, time?: Partial<PeerTime>): Peer;
  stop: Daemon["stop"];
}

async function compose(names: ReadonlySet<ServiceName>, around: Surroundings): Promise<Part> {
  if (names.has("orchestrator")) return await orchestrator(names, around);
  const { options, settings, reach } = around;
  const orchestrators = joinOf(options, settings, names);
  const time = peerClock(systemClock());
  const joined = orchestrators.map((address) => reach(address, time));
  const [first, ...others] = joined;
  const modelsAt = settings.services.models === "" ? undefined : reach(settings.services.models);
  const parts: Array<{ routes?(router: ConnectRouter): void; begin?(): void; end?(how: { now: boolean }): Promise<void>; hurry?(): void }> =
    [];
  const current = currentSettings(options.paths.settingsFile, options.env);
  if (names.has("knowledge")) {
    const { serveKnowledge } = await import("./serve-knowledge.ts");
    parts.push(await serveKnowledge(options, () => current().settings));
  }
  if (names.has("models")) {
    const models = createModels(options, () => current().settings);
    parts.push({
      routes: (router) =>
        void router.service(
          protocol.ModelService,
          modelService({
            models,
            credentials: () => ({ ...keysIn(options.env), ...current().settings.keys }),
            names: () => modelRouting(current().settings),
            distant: true,
          }),
        ),
    });
  }
  if (first !== undefined && names.has("gateway")) {
    const transport = failover([carriedBy(first), ...others.map(carriedBy)]);
    const here = new Set<DescService>();
    if (names.has("models")) here.add(protocol.ModelService);
    if (names.has("knowledge")) here.add(protocol.KnowledgeService);
    const elsewhere = new Map<DescService, Onward>();
    if (modelsAt !== undefined) elsewhere.set(protocol.ModelService, carriedBy(modelsAt));
    if (settings.services.knowledge !== "") elsewhere.set(protocol.KnowledgeService, carriedBy(reach(settings.services.knowledge)));
    parts.push({
      routes(router) {
        for (const service of publicServices()) {
          if (!here.has(service)) forwardService(router, service, elsewhere.get(service) ?? { transport, address: first.address });
        }
      },
    });
  }
  if (first !== undefined && names.has("worker")) parts.push(await worker(around, [first, ...others], modelsAt ?? first, time.clock));
  const served = createServiceHandler({
    log: options.log,
    routes(router) {
      for (const part of parts) part.routes?.(router);
    },
  });
  for (const name of names) served.health.add(name);
  return {
    served,
    begin: () => parts.forEach((part) => part.begin?.()),
    hurry: () => parts.forEach((part) => part.hurry?.()),
    end: async (how) => void (await Promise.all(parts.map((part) => part.end?.(how) ?? Promise.resolve()))),
  };
}

async function orchestrator(names: ReadonlySet<ServiceName>, { options, settings, reach, stop }: Surroundings): Promise<Part> {
  const { paths } = options;
  const own = settings.database.url === "";
  const lock = own ? takeLock(paths.lock) : undefined;
  const { openStorage, storagePlace } = await import("../storage/index.ts");
  const { SCHEMA_VERSION } = await import("../storage/migrations.ts");
  const storage = await openStorage(storagePlace(paths, settings));
  const models = settings.services.models === "" || names.has("models") ? undefined : reach(settings.services.models);
  const seams: ServiceSeams = {
    ...(names.has("worker") ? {} : { role: "orchestrator" as const }),
    ...(models === undefined ? {} : { models: async () => remoteModels(models.carried, models.address) }),
    async lend(session, credentials) {
      if (models !== undefined)
        await createClient(protocol.ModelService, models.carried).lendCredentials(
          { sessionId: session, credentials },
          { timeoutMs: 15_000 },
        );
    },
    routes(router, { pool, openCheckpoints }) {
      router.service(LogService, logService(storage.log));
      router.service(BlobService, blobService(storage.blobs));
      router.service(CheckpointService, checkpointService(openCheckpoints));
      if (settings.services.authority !== "") router.service(EnrolmentService, enrolmentService(settings.services.authority));
      router.service(LedgerService, ledgerService(storage.budgets));
      router.service(
        WorkerService,
        workerService(() => pool.open(), false),
      );
      if (models !== undefined) forwardService(router, protocol.ModelService, carriedBy(models));
    },
  };
  if (names.has("worker")) delete seams.lend;
  const services = await composed({ ...options, addresses: [], storage, schema: SCHEMA_VERSION, busy: () => () => undefined, stop, seams });
  for (const name of names) services.health.add(name);
  let local: LocalWorkers | undefined;
  const begin = async (address: string, token: string): Promise<void> => {
    const dispatcher = await services.pool.open();
    local = await startLocalWorkers(options, settings, { address, token, dispatcher });
  };
  return {
    served: services,
    pool: services.pool,
    begin: (address, token) => void begin(address, token).catch((error: unknown) => options.log.error("the pool does not begin", error)),
    hurry: () => void services.stopSessions({ now: true }).catch((error: unknown) => options.log.error("sessions do not stop", error)),
    async end(how) {
      await local?.stop(how);
      await services.stopSessions(how);
      await services.close();
      lock?.release();
    },
  };
}

/** Worker processes of this machine, when the settings want any. */
async function startLocalWorkers(
  { log, env, paths, brokerProgram }: ServeOptions,
  { workers }: Settings,
  reached: { address: string; token: string; dispatcher: Dispatcher },
): Promise<LocalWorkers | undefined> {
  if (workers.max === 0) return undefined;
  const { LocalWorkers } = await import("../scaling/local-workers.ts");
  const [command = process.execPath, ...args] = brokerProgram?.slice(0, -1) ?? [];
  const local = new LocalWorkers({
    ...reached,
    program: [command, ...args],
    env,
    directory: join(paths.data, "workers"),
    slots: workers.slots || 2 * cpus().length,
    size: workers,
    keepMs: workers.keep_seconds * 1_000,
    journal: log,
  });
  local.start();
  return local;
}

/** The same peer for calls that share a stream. */
function carriedBy({ carried, address }: Peer): Onward {
  return { transport: carried, address };
}

/** Words of a setting, without empty ones. */
function namesOf(text: string): string[] {
  return text.split(",").flatMap((one) => (one.trim() === "" ? [] : [one.trim()]));
}

async function worker({ options, settings, reach, stop }: Surroundings, orchestrators: [Peer, ...Peer[]], modelsAt: Peer, clock: Clock) {
  const [first, ...others] = orchestrators;
  const transport = failover([first, ...others]);
  const carried = failover([carriedBy(first), ...others.map(carriedBy)]);
  const storage = remoteStorage({ transport, carried }, first.address);
  // Orchestrators serve it too.
  const knowledgeAt = settings.services.knowledge === "" ? undefined : reach(settings.services.knowledge);
  const seams: ServiceSeams = {
    role: "worker",
    clock,
    checkpoints: remoteCheckpointStores(transport, first.address),
    models: async () => remoteModels(modelsAt === first ? carried : modelsAt.carried, modelsAt.address),
    budgets: storage.budgets,
    knowledge: remoteKnowledge(knowledgeAt?.transport ?? transport, knowledgeAt?.address ?? first.address),
    leaseMs: POOL_TIMES.leaseMs,
  };
  const services = await composed({ ...options, addresses: [], storage, schema: 0, busy: () => () => undefined, stop, seams });
  const agent = services.pool.joinElsewhere(orchestrators);
  let left: GuildError | undefined;
  return {
    begin() {
      agent.run().catch((error: unknown) => {
        left = GuildError.from(error);
        // What the orchestrator has said is told by whoever started this, in one line.
        if (!GuildError.is(error)) options.log.error("cannot join", error);
        options.failed?.(left);
        stop({ now: true });
      });
    },
    hurry: () => void services.stopSessions({ now: true }).catch((error: unknown) => options.log.error("sessions do not stop", error)),
    async end(how: { now: boolean }) {
      await services.stopSessions(how);
      await services.close();
    },
  };
}

async function composed(options: ServicesOptions): Promise<Services> {
  const { composeServices } = await import("../daemon/services.ts");
  return await composeServices(options);
}

function createModels(options: ServeOptions, settings: () => Settings) {
  let opening: ReturnType<typeof openModelProvider> | undefined;
  return () => (opening ??= openModelProvider(systemClock(), options.env, settings));
}

/** Keys of providers in a models service's environment, by their usual names. */
function keysIn(env: ServeOptions["env"]): Record<string, string> {
  return Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (name.endsWith("_API_KEY") && value ? [[name, value]] : [])));
}

function joinOf({ join: given }: ServeOptions, { services }: Settings, names: ReadonlySet<ServiceName>): string[] {
  const text = given ?? services.orchestrator;
  const addresses = namesOf(text);
  const needs = [...names].find((name) => name === "gateway" || name === "worker");
  if (addresses.length === 0 && needs !== undefined) {
    throw new GuildError("invalid_argument", `the ${needs} needs an orchestrator to join`, {
      remedy: "give --join host:port, or run it with the orchestrator: guild serve orchestrator worker",
    });
  }
  return addresses;
}

function publicServices(): DescService[] {
  return Object.values(protocol).flatMap((value) =>
    typeof value === "object" && "kind" in value && value.kind === "service" ? [value as DescService] : [],
  );
}

function usualPort(names: ReadonlySet<ServiceName>): number {
  const index = SERVICE_NAMES.findIndex((name) => names.has(name));
  return names.size === 1 && names.has("worker") ? 0 : 7_400 + Math.max(0, index);
}

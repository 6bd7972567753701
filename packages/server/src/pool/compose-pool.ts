import { cpus } from "node:os";
import { join } from "node:path";

import { create } from "@bufbuild/protobuf";
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import {
  type Checkpointer,
  type CheckpointStore,
  type Clock,
  type EventLog,
  GuildError,
  type Ids,
  type SandboxLimits,
  type SessionRecord,
} from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import { CreateSessionRequestSchema, type TaskSpec } from "@guildhall/protocol";
import { type Offer, WorkerService } from "@guildhall/protocol/internal";

import type { Log } from "../daemon/log.ts";
import { LiveElsewhere } from "../live/live-elsewhere.ts";
import type { SessionDesk } from "../sessions/session-desk.ts";
import type { Notices } from "../storage/notices.ts";
import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import type { WorkerRows } from "../storage/worker-rows.ts";
import type { DeltaHub } from "../worker/deltas.ts";
import type { SessionHost, SessionRunner } from "../worker/session-host.ts";
import { checkWorkspace } from "../worker/workspace.ts";
import { Dispatcher } from "./dispatcher.ts";
import { managedWorkspaces } from "./managed-workspaces.ts";
import { workerService } from "./pool-services.ts";
import { pooledRunner } from "./pooled-runner.ts";
import { parseShares } from "./shares.ts";
import { TaskDesk } from "./task-desk.ts";
import { sharedPath } from "./task-terms.ts";
import { copyUpload, UPLOADS } from "./uploads.ts";
import type { WantedMoves } from "./wanted-moves.ts";
import { WorkerAgent } from "./worker-agent.ts";
import { workerPlace } from "./worker-place.ts";

export interface PoolDeps {
  tenant: string;
  store: TaskStore;
  /** Of all orchestrators that share the database. */
  workers: WorkerRows;
  log: EventLog;
  ids: Ids;
  clock: Clock;
  journal: Log;
  host: SessionHost;
  /** It may be made later than the pool. */
  desk(): SessionDesk;
  settings(): Settings;
  env: Readonly<Record<string, string | undefined>>;
  version: string;
  dataDir: string;
  shared: boolean;
  /** This process works on sessions too. */
  local: boolean;
  busy(): () => void;
  /** Where sessions of this process tell what is on its way, and where people watch it. */
  deltas: DeltaHub;
  /** Between orchestrators that share the database. */
  notices: Notices | undefined;
  checkpoints(workspace: string): Promise<CheckpointStore>;
  withCheckpointer<T>(workspace: string, provider: string, work: (checkpointer: Checkpointer) => Promise<T>): Promise<T>;
  /** What sessions of this process are asked for. */
  moves: WantedMoves;
  /** Where credentials go that must not go to workers; default: they stay in this process. */
  lend?(session: string, credentials: Readonly<Record<string, string>>): Promise<void>;
}

/** Tasks, workers and what joins them, started when first asked for. */
export interface Pool {
  readonly dispatcher: Dispatcher;
  readonly runner: SessionRunner;
  /** What a task of this session was granted of its worker. */
  limitsOf(session: string): SandboxLimits;
  open(): Promise<Dispatcher>;
  desk(): Promise<TaskDesk>;
  /** Takes up tasks that were left; does nothing when there are none. */
  resume(): Promise<void>;
  /** Joins this process to orchestrators elsewhere. */
  joinElsewhere(transports: ReadonlyArray<{ transport: Transport; address: string }>): WorkerAgent;
  stop(how: { now: boolean }): Promise<void>;
}

export function composePool(deps: PoolDeps): Pool {
  const { store, log, ids, clock, journal, host, settings, tenant } = deps;
  const wallet = new Map<string, Record<string, string>>();
  const lent = new Map<string, Record<string, string>>();
  const grants = new Map<string, SandboxLimits>();
  const workspaces = managedWorkspaces(deps);
  const lend = async (session: string, credentials: Readonly<Record<string, string>>): Promise<void> => {
    if (Object.keys(credentials).length === 0) return;
    if (deps.lend === undefined) wallet.set(session, { ...credentials });
    else await deps.lend(session, credentials);
  };
  const requestOf = (spec: TaskSpec, credentials: Record<string, string>) =>
    create(CreateSessionRequestSchema, {
      goal: spec.goal,
      model: spec.model,
      baseUrl: spec.baseUrl,
      sandbox: spec.sandbox,
      approvalPolicy: spec.approvalPolicy,
      unattended: true,
      credentials,
      ...(spec.limits === undefined ? {} : { limits: spec.limits }),
    });
  const directoryOf = (task: TaskRecord): string =>
    sharedPath(task.spec) || join(settings().workers.workspaces || join(deps.dataDir, "workspaces"), task.id);
  const { notices, shared } = deps;
  const elsewhere =
    notices === undefined || !shared
      ? undefined
      : new LiveElsewhere({
          notices,
          clock,
          hub: deps.deltas,
          isHere: (session) => host.isRunning(session) || dispatcher.worksOn(session),
          failed: (error) => journal.error("other orchestrators cannot be heard", error),
        });
  const dispatcher = new Dispatcher({
    ...deps,
    elsewhere,
    shares: () => parseShares(settings().workers),
    ageingPerMinute: settings().workers.ageing_per_minute,
    rebalanceSeconds: () => settings().workers.rebalance_seconds,
    draft: async (task) => {
      const credentials = lent.get(task.id) ?? {};
      const { source } = task.spec.workspace ?? {};
      if (source?.case === "upload")
        await copyUpload(await deps.checkpoints(UPLOADS), await deps.checkpoints(directoryOf(task)), source.value);
      const { session } = await deps.desk().draft(requestOf(task.spec, credentials), directoryOf(task), "system");
      await lend(session.session, credentials);
      lent.delete(task.id);
      return session;
    },
  });
  const agentDeps = {
    deltas: deps.deltas,
    moves: deps.moves,
    host,
    log,
    clock,
    journal,
    facts: { ...factsOf(settings(), deps.version), ...workerPlace(deps.dataDir) },
    prepare: async (offer: Offer, record: SessionRecord) => {
      grants.set(record.session, grantOf(offer));
      return await workspaces.prepare(offer, record);
    },
    deliver: workspaces.deliver,
    credentials: (session: string) => ({ ...(deps.local ? settings().keys : {}), ...wallet.get(session) }),
  };
  let agent: WorkerAgent | undefined;
  let opened: Promise<Dispatcher> | undefined;
  const open = (): Promise<Dispatcher> =>
    (opened ??= (async () => {
      await dispatcher.start();
      elsewhere?.start();
      if (deps.local) {
        // The same handler as over the network; only nothing is sent.
        const transport = createRouterTransport(
          (router) =>
            void router.service(
              WorkerService,
              workerService(async () => dispatcher, true),
            ),
        );
        agent = new WorkerAgent({ ...agentDeps, transports: [{ transport, address: "this process" }] });
        agent.run().catch((error: unknown) => journal.error("the worker of this process has left the pool", error));
        while (dispatcher.members.size === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      return dispatcher;
    })());
  let desk: TaskDesk | undefined;
  return {
    dispatcher,
    open,
    limitsOf: (session) => grants.get(session) ?? {},
    runner: pooledRunner({
      host,
      dispatcher,
      store,
      log,
      ids,
      lend,
      failed: (session, error) => journal.error(`${session}: cannot be queued`, error),
    }),
    async desk() {
      await open();
      return (desk ??= new TaskDesk({
        tenant,
        store,
        dispatcher,
        ids,
        now: () => clock.now(),
        async checkTerms(spec, credentials) {
          await deps.desk().checkTerms(requestOf(spec, credentials));
          const path = sharedPath(spec);
          if (path !== "" && checkWorkspace(path) !== path)
            throw new GuildError("invalid_argument", "the workspace is not named by its real path", {
              subject: path,
              remedy: `name ${checkWorkspace(path)}`,
            });
        },
        result: { log, checkpoints: deps.checkpoints, dataDir: deps.dataDir },
        lend: (tasks, credentials) => {
          if (Object.keys(credentials).length > 0) for (const { id } of tasks) lent.set(id, credentials);
        },
      }));
    },
    async resume() {
      if (opened === undefined && (await store.open(tenant)).length > 0) await open();
    },
    joinElsewhere(transports) {
      agent = new WorkerAgent({ ...agentDeps, transports });
      return agent;
    },
    async stop(how) {
      elsewhere?.stop();
      await agent?.stop(how);
      await dispatcher.stop();
    },
  };
}

/** What was asked for is enforced; what was not has the provider's limits. */
function grantOf({ needs }: Offer): SandboxLimits {
  return {
    ...(needs === undefined || needs.cpu === 0 ? {} : { cpus: needs.cpu }),
    ...(needs === undefined || needs.memoryBytes === 0n ? {} : { memoryBytes: Number(needs.memoryBytes) }),
    ...(needs === undefined || needs.diskBytes === 0n ? {} : { diskBytes: Number(needs.diskBytes) }),
  };
}

function factsOf({ workers }: Settings, version: string) {
  const list = (text: string): string[] => text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]));
  return {
    version,
    slots: workers.slots || 2 * cpus().length,
    labels: Object.fromEntries(
      list(workers.labels).map((pair) => {
        const at = pair.indexOf("=");
        if (at < 1)
          throw new GuildError("invalid_argument", `${pair} is no label`, { subject: "workers.labels", remedy: "write name=value" });
        return [pair.slice(0, at), pair.slice(at + 1)];
      }),
    ),
    roles: list(workers.roles),
    environmentKinds: ["host"],
  };
}

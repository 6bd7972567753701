import { homedir } from "node:os";
import { join } from "node:path";

import {
  type Checkpointer,
  type CommandJudge,
  type FaultPoints,
  type ModelProvider,
  type Sandbox,
  type SessionRecord,
  sortableIds,
  systemClock,
} from "@guildhall/core";
import type { Paths } from "@guildhall/core/paths";

import { delegationPart } from "../delegation/delegation-part.ts";
import { Delegations } from "../delegation/delegations.ts";
import { Environments } from "../environment/environments.ts";
import { environmentParts } from "../environment/parts.ts";
import { createExtensions } from "../extensions/extension-parts.ts";
import { sessionSampler } from "../extensions/session-sampler.ts";
import { createKnowledge } from "../knowledge/index.ts";
import { knowledgeModel } from "../knowledge/knowledge-model.ts";
import { openModelProvider } from "../models/open-provider.ts";
import { modelRouting } from "../models/routing.ts";
import { createAccess } from "../network/access.ts";
import { partFactories, SessionParts } from "../parts/index.ts";
import { composePool, type Pool } from "../pool/compose-pool.ts";
import { WantedMoves } from "../pool/wanted-moves.ts";
import { createResults, heldPart } from "../results/index.ts";
import { createServiceHandler, type ServiceHandler } from "../rpc/handler.ts";
import { createScreen } from "../secrets/screen.ts";
import type { ServiceSeams } from "../services/service-seams.ts";
import { createSessionDescriber } from "../sessions/describe-session.ts";
import { createIntroduction } from "../sessions/introduction.ts";
import { SessionDesk, TENANT } from "../sessions/session-desk.ts";
import { SessionHistory } from "../sessions/session-history.ts";
import type { Storage } from "../storage/index.ts";
import { composeHost } from "../worker/compose-host.ts";
import { createDeltaHub } from "../worker/deltas.ts";
import { createRunTerms } from "../worker/run-terms.ts";
import type { SessionHost } from "../worker/session-host.ts";
import { createToolBench } from "../worker/tool-bench.ts";
import { createToolSets } from "../worker/tool-sets.ts";
import { openWorkbench } from "../worker/workbench.ts";
import { createCheckpointStores } from "./checkpoints.ts";
import { currentSettings } from "./current-settings.ts";
import { toFindings } from "./findings.ts";
import type { Log } from "./log.ts";
import { addPublicServices } from "./public-services.ts";
import { createSandboxes } from "./sandboxes.ts";
import { userName } from "./user-name.ts";

export interface ServicesOptions {
  paths: Paths;
  uid: number;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
  version: string;
  addresses: readonly string[];
  storage: Storage;
  schema: number;
  faults?: FaultPoints;
  busy(): () => void;
  stop(how: { now: boolean }): void;
  /** Program and arguments that run the network's broker. */
  brokerProgram: readonly [string, ...string[]];
  /** Where this process is one of several: what stands in for the parts that are elsewhere. */
  seams?: ServiceSeams;
}

/** The daemon's services, put together. */
export interface Services {
  readonly handler: ServiceHandler["handler"];
  readonly health: ServiceHandler["health"];
  /** Loads what the first session needs, so that it need not wait for it. */
  warmUp(): Promise<void>;
  resumeOrphans(): Promise<void>;
  readonly pool: Pool;
  readonly host: SessionHost;
  stopSessions(how: { now: boolean }): Promise<void>;
  /** Frees checkpoints that no session names any more; nothing while one is at work. */
  collectCheckpoints(): Promise<void>;
  /** Closes sandboxes, checkpoints and the storage, in this order. */
  close(): Promise<void>;
}

/** The composition root: every concrete part is chosen here. Settings are those of the moment of each request. */
export async function composeServices(options: ServicesOptions): Promise<Services> {
  const { paths, storage, log: journal } = options;
  const { log, blobs } = storage;
  const clock = options.seams?.clock ?? systemClock();
  const ids = sortableIds(clock);
  const readAll = currentSettings(paths.settingsFile, options.env);
  const settings = () => readAll().settings;
  const screen = createScreen(() => settings().secrets.mask_unknown);
  const sharedDatabase = settings().database.url !== "";
  const { systemPrompt } = await import("@guildhall/agent");
  const access = createAccess({ ...options, settings, clock, log, journal });
  const toolSets = await createToolSets({ settings, access });

  const results = createResults({
    directory: join(paths.data, "results"),
    log,
    checkpointStore: (workspace) => checkpointStores.open(workspace),
    isRunning: (session) => host.isRunning(session),
    rest: (session) => host.cool(session),
    now: () => clock.now().getTime(),
  });
  const extensions = createExtensions({
    paths,
    trust: access.service.trust,
    secrets: access.service.secrets,
    version: options.version,
    journal,
  });
  const actor = `person:${userName(options.uid)}`;
  const seams = options.seams ?? {};
  const knowledge = createKnowledge({
    dataDir: paths.data,
    runtimeDir: paths.runtime,
    tenant: TENANT,
    person: actor,
    clock,
    ids,
    journal,
    log,
    store: storage.knowledge,
    border: storage.border,
    settings: () => settings().knowledge,
    keys: () => settings().keys,
    model: knowledgeModel({ models: () => openModels(), settings }),
    remote: seams.knowledge,
  });
  const sandboxes = createSandboxes({ settings, dataDir: paths.data, tell: (line) => journal.info(line) });
  const environments = new Environments({
    stateDir: join(paths.state, "environments"),
    dataDir: paths.data,
    uid: options.uid,
    progress: (line) => journal.info(line),
    home: options.env["HOME"] ?? homedir(),
    settings,
    provider: (name) => sandboxes.provider(name),
    isTrusted: (workspace) => access.service.trust.show(workspace).state === "trusted",
    ids,
  });
  const delegations = new Delegations({ log, host: () => host, results, ids, settings, models: () => openModels() });
  extensions.sampler = sessionSampler({
    log,
    tree: delegations.tree,
    budgets: () => budgets,
    settings,
    models: () => openModels(),
    credentialsOf: (session) => host.credentialsOf(session),
  });
  const moves = new WantedMoves();
  const parts = new SessionParts(
    [
      ...environmentParts(environments),
      heldPart(results.held),
      moves.part((session) => host.familyAtWork(session)),
      delegationPart(delegations, { log, settings }),
      ...partFactories({ extensions, memory: knowledge.part }),
    ],
    journal,
  );
  const checkpointStores = seams.checkpoints ?? createCheckpointStores(join(paths.data, "checkpoints"), storage.checkpoints);
  const openCheckpointer = async (sandbox: Sandbox, apart = ""): Promise<Checkpointer> => {
    const { createCheckpointer } = await import("@guildhall/sandbox");
    return createCheckpointer({
      sandbox,
      store: await checkpointStores.open(sandbox.workspace),
      stateDir: join(paths.state, "checkpoints", apart),
    });
  };
  let models: Promise<ModelProvider> | undefined;
  const openModels = () => (models ??= seams.models?.() ?? openModelProvider(clock, options.env, settings));

  let commandJudge: Promise<CommandJudge> | undefined;
  const openCommandJudge = () => (commandJudge ??= import("@guildhall/code").then(({ createCommandJudge }) => createCommandJudge()));

  const { tree } = delegations;
  const rulesFile = join(paths.data, "approval-rules.json");
  const policyRules = (workspace: string) => access.terms(workspace, "", "").approvalRules;
  const budgets = seams.budgets ?? storage.budgets;
  const runTerms = createRunTerms({ log, settings, models: openModels, tree, budgets, rulesFile, policyRules });
  const workbenchDeps = { provider: (name: string) => sandboxes.provider(name), checkpointer: openCheckpointer, blobs, ids };
  const hub = createDeltaHub();
  const host = composeHost({
    log,
    blobs,
    deltas: hub,
    ids,
    clock,
    journal,
    busy: options.busy,
    keepWarmMs: settings().sandbox.idle_seconds * 1000,
    createMasker: (credentials) => screen.masker(Object.values(credentials)),
    access,
    results,
    parts,
    toolSets,
    runTerms,
    workbenchDeps,
    limitsOf: (session) => ({ ...sandboxes.limits(), ...pool.limitsOf(session) }),
    openCommandJudge,
    sandboxLeaseMs: seams.leaseMs,
    shared: sharedDatabase,
    faults: options.faults,
  });
  const withCheckpointer = async <T>(workspace: string, provider: string, work: (checkpointer: Checkpointer) => Promise<T>): Promise<T> => {
    const workbench = openWorkbench(workbenchDeps, { workspace, provider, limits: sandboxes.limits(), masker: screen.masker([]) });
    try {
      return await work(await workbench.checkpointer);
    } finally {
      await workbench.close();
    }
  };
  const pool: Pool = composePool({
    ...options,
    ...seams,
    tenant: TENANT,
    store: storage.tasks,
    workers: storage.workers,
    notices: storage.notices,
    log,
    ids,
    clock,
    journal,
    host,
    settings,
    dataDir: paths.data,
    shared: sharedDatabase,
    local: seams.role !== "orchestrator" && seams.role !== "worker",
    desk: () => desk,
    deltas: hub,
    moves,
    checkpoints: (workspace) => checkpointStores.open(workspace),
    withCheckpointer,
  });
  const runner = seams.role === "orchestrator" ? pool.runner : host;
  const desk = new SessionDesk({
    log,
    host: runner,
    ids,
    settings,
    models: openModels,
    screen: async (workspace, text) => {
      const masker = screen.masker([]);
      if (text !== "") await access.teach(workspace, masker);
      return masker.mask(text);
    },
    checkSandbox: (name) => sandboxes.check(name),
    introduce: createIntroduction({ access, environments, parts, tools: toolSets, systemPrompt }),
  });
  const history = new SessionHistory({
    log,
    blobs,
    host: runner,
    ids,
    forks: join(paths.data, "forks"),
    checkpointStore: (workspace) => checkpointStores.open(workspace),
    withCheckpointer,
  });
  const benchMasker = screen.masker(Object.values(settings().keys));
  const bench = createToolBench({
    provider: (name) => sandboxes.provider(name),
    limits: () => sandboxes.limits(),
    surroundings: (workspace, provider) => access.forTools(workspace, provider, benchMasker),
    tools: (workspace) => toolSets.of(workspace),
    parts,
    log,
    blobs,
    masker: benchMasker,
    ids,
  });
  // A database of our own has one daemon: a lease that still runs and is not ours is that of one that died.
  const leasedElsewhere = (record: SessionRecord): boolean => sharedDatabase && record.leaseOwner !== undefined;
  const describer = createSessionDescriber(log, (record) => runner.isRunning(record.session) || leasedElsewhere(record));
  const { handler, health } = createServiceHandler({
    log: journal,
    routes(router) {
      seams.routes?.(router, { pool, openCheckpoints: (workspace) => checkpointStores.open(workspace) });
      addPublicServices(router, {
        sessions: { desk, history, describer, log, blobs, host: runner, hub, actor, delegations },
        pool: { pool, budgets: storage.budgets, tenant: TENANT },
        ports: { sandbox: (session) => host.sandbox(session), log, actor },
        results,
        access: access.service,
        knowledge: { knowledge: knowledge.global, keeper: knowledge.keeper, actor },
        approvals: { rules: runTerms.rules, log, clock },
        environments: { environments },
        extensions: { ...extensions, bench },
        tools: { bench, extensions, trust: access.service.trust },
        models: { models: openModels, credentials: () => settings().keys, names: () => modelRouting(settings()) },
        system: {
          version: options.version,
          schema: options.schema,
          addresses: options.addresses,
          runningSessions: () => host.running,
          effectiveSettings: () => readAll().effective,
          diagnose: async () => {
            const { examine } = await import("./doctor.ts");
            return toFindings(await examine(options));
          },
          stop: options.stop,
          exportDatabase: () => storage.exportDatabase(),
          importDatabase: async (chunks) => {
            const summary = await storage.importDatabase(chunks);
            await knowledge.global.refresh();
            return summary;
          },
        },
      });
    },
  });

  return {
    handler,
    health,
    async warmUp() {
      await Promise.all([openModels(), sandboxes.provider("")]);
    },
    pool,
    host,
    async resumeOrphans() {
      if (seams.role !== "worker") await pool.resume();
      knowledge.start();
      if (!settings().daemon.resume_orphans) return;
      const taken = await desk.resumeOrphans();
      if (taken > 0) journal.info(`took up ${taken} session(s) that nobody worked on`);
    },
    async stopSessions(how) {
      await pool.stop(how);
      await host.stop(how);
    },
    async collectCheckpoints() {
      const { objects } = runner.running > 0 ? { objects: 0 } : await history.collect(TENANT);
      if (objects > 0) journal.info(`freed ${objects} checkpoint object(s)`);
    },
    async close() {
      await sandboxes.close();
      await parts.close();
      await knowledge.close();
      await access.close();
      await checkpointStores.close();
      await storage.close();
      await storage.stopDatabase();
    },
  };
}

import { join } from "node:path";

import { type Clock, type EventLog, GuildError, type Ids, type OperationStore } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";

import type { Log } from "../daemon/log.ts";
import type { PartFactory } from "../parts/session-parts.ts";
import type { BorderLog } from "./border-log.ts";
import { consolidateSessions } from "./consolidation.ts";
import { Contradictions } from "./contradictions.ts";
import { Distiller } from "./distiller.ts";
import { openEmbedder, type OpenedEmbedder } from "./embedder.ts";
import { EvidenceFiles } from "./evidence-files.ts";
import { Exchanger } from "./exchanger.ts";
import { openGlobalVectors } from "./global-vectors.ts";
import { GlobalKnowledge } from "./global.ts";
import { KnowledgeKeeper } from "./keeper.ts";
import type { KnowledgeModel } from "./knowledge-model.ts";
import { memoryPart } from "./memory-part.ts";
import { Quiet } from "./quiet.ts";
import { formerIndex } from "./re-embedding.ts";
import type { RemoteKnowledge } from "./remote-knowledge.ts";
import { addressesIn, remoteAt } from "./remotes.ts";
import { openSessionVectors } from "./session-vectors.ts";
import { knowledgeSource } from "./source.ts";
import { tellUse } from "./tell-use.ts";

export interface KnowledgeOptions {
  dataDir: string;
  runtimeDir: string;
  tenant: string;
  /** The person whose daemon it is: `person:<name>`. */
  person: string;
  clock: Pick<Clock, "now">;
  ids: Ids;
  journal: Log;
  log: Pick<EventLog, "listSessions" | "read">;
  store: OperationStore;
  border: BorderLog;
  settings(): Settings["knowledge"];
  /** Provider keys of the settings, for an embedder that wants one. */
  keys(): Readonly<Record<string, string>>;
  /** Writes lessons and judges contradictions; without a name rules do. */
  model: KnowledgeModel;
  /** Where what is shared is, if not here. */
  remote?: RemoteKnowledge | undefined;
}

/** What a daemon knows: one embedder for all its sessions, each session's memory, and what is shared. Nothing is opened before it is used. */
export interface DaemonKnowledge {
  readonly part: PartFactory;
  readonly global: GlobalKnowledge;
  readonly keeper: KnowledgeKeeper;
  /** Takes up what ended while this daemon was not there, and begins to exchange with others. Returns at once. */
  start(): void;
  close(): Promise<void>;
}

/** Embedding waits until no session has taken a step for this long, milliseconds. */
const QUIET_MS = 1_500;

/** The vectors of what is shared wait longer: they bring a server with them. */
const SHARED_QUIET_MS = 8_000;

/** An embedder that could not be opened is not tried again before, milliseconds. */
const AGAIN_MS = 60_000;

/** How often it is looked whether the daily tidying is due, milliseconds. */
const TIDY_MS = 60 * 60_000;

export function createKnowledge(options: KnowledgeOptions): DaemonKnowledge {
  const { dataDir, tenant, clock, journal, border, settings, remote } = options;
  let opening: Promise<OpenedEmbedder | undefined> | undefined;
  let triedAt = -Infinity;
  // Without one, search is by words; it is tried again with the next session, but not for each of many.
  const embedder = async (): Promise<OpenedEmbedder | undefined> => {
    const now = clock.now().getTime();
    if (opening !== undefined && ((await opening) !== undefined || now - triedAt < AGAIN_MS)) return await opening;
    triedAt = now;
    opening = openEmbedder(options).catch((error: unknown) => {
      journal.warn(`knowledge: search is by words alone: ${GuildError.from(error).line}`);
      return undefined;
    });
    return await opening;
  };
  const quiet = new Quiet(QUIET_MS);
  const shared = new Quiet(SHARED_QUIET_MS);
  const evidence = new EvidenceFiles(() => options.log.listSessions({ tenant, limit: 500 }));
  const closed = new AbortController();
  const global = new GlobalKnowledge({
    ...options,
    embedder,
    evidence,
    vectors: () => openGlobalVectors({ ...options, settings: settings() }),
    former: (present, vectors) => formerIndex(options, present, vectors),
    pace: () => shared.wait(closed.signal),
    judged: () => contradictions.judges(),
    changed: (ids) => contradictions.later(ids),
  });
  const contradictions = new Contradictions({
    model: options.model,
    open: () => global.open(),
    journal,
    quiet: () => quiet.wait(closed.signal),
    signal: closed.signal,
  });
  const consolidate = () => consolidateSessions({ knowledge: global, model: options.model, journal, signal: closed.signal });
  const exchanger = new Exchanger({
    replica: () => global.replica(),
    clock,
    journal,
    pauseMs: () => settings().sync_minutes * 60_000,
  });
  const keeper = new KnowledgeKeeper({
    tenant,
    knowledge: global,
    border,
    clock,
    journal,
    settings,
    embedder,
    evidence,
    exchanger,
    consolidate,
  });
  const distiller = new Distiller({
    tenant,
    log: options.log,
    knowledge: remote === undefined ? global : { ...remote.distilled, redactor: () => global.redactor() },
    tellUse: remote?.tellUse ?? ((made, session, project) => tellUse(global, made, session, project)),
    journal,
    settings,
    quiet: () => quiet.wait(closed.signal),
    model: options.model,
    signal: closed.signal,
    markFile: join(dataDir, "knowledge", "distilled"),
    distilled: () => (remote === undefined ? keeper.tidyDaily() : Promise.resolve()),
  });
  let tidying: NodeJS.Timeout | undefined;
  return {
    global,
    keeper,
    part: memoryPart({
      clock,
      journal,
      embedder,
      vectors: (model) => openSessionVectors(model, settings(), journal),
      busy: () => {
        quiet.busy();
        shared.busy();
      },
      quiet,
      sources: (place) => [remote?.source(place, options) ?? knowledgeSource({ ...options, global }, place)],
      ended: (session, workspace) => distiller.later(session, workspace, clock.now().getTime()),
    }),
    start() {
      const warn = (error: unknown): void => journal.warn(`knowledge: ${GuildError.from(error).line}`);
      distiller.catchUp(clock.now().getTime()).catch(warn);
      tidying = setInterval(
        () =>
          void global
            .opened()
            .then((opened) => opened && keeper.tidyDaily())
            .catch(warn),
        TIDY_MS,
      ).unref();
      const { remotes, remote_token: token, sync_minutes: minutes } = settings();
      if (minutes > 0) for (const address of addressesIn(remotes)) exchanger.follow(remoteAt(address, token));
    },
    async close() {
      clearInterval(tidying);
      closed.abort();
      await exchanger.close();
      await contradictions.settled();
      await distiller.close();
      await global.close();
      await (await opening)?.close();
    },
  };
}

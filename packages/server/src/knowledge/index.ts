import type { Clock, EventLog, Ids, OperationStore } from "@guildhall/core";
import type { Settings } from "@guildhall/core/settings";
import type { CachedEmbedder } from "@guildhall/knowledge";

import type { Log } from "../daemon/log.ts";
import type { PartFactory } from "../parts/session-parts.ts";
import type { BorderLog } from "./border-log.ts";
import { openEmbedder } from "./embedder.ts";
import { EvidenceFiles } from "./evidence-files.ts";
import { GlobalKnowledge } from "./global.ts";
import { KnowledgeKeeper } from "./keeper.ts";
import { memoryPart } from "./memory-part.ts";
import { Quiet } from "./quiet.ts";
import { knowledgeSource } from "./source.ts";

export interface KnowledgeOptions {
  dataDir: string;
  tenant: string;
  /** The person whose daemon it is: `person:<name>`. */
  person: string;
  clock: Pick<Clock, "now">;
  ids: Ids;
  journal: Log;
  log: Pick<EventLog, "listSessions">;
  store: OperationStore;
  border: BorderLog;
  settings(): Settings["knowledge"];
}

/** What a daemon knows: one embedder for all its sessions, each session's memory, and what is shared. Nothing is opened before it is used. */
export interface DaemonKnowledge {
  readonly part: PartFactory;
  readonly global: GlobalKnowledge;
  readonly keeper: KnowledgeKeeper;
  close(): Promise<void>;
}

/** Embedding waits until no session has taken a step for this long, milliseconds. */
const QUIET_MS = 1_500;

export function createKnowledge(options: KnowledgeOptions): DaemonKnowledge {
  const { dataDir, tenant, clock, journal, border, settings } = options;
  let opening: Promise<CachedEmbedder> | undefined;
  const embedder = (): Promise<CachedEmbedder> =>
    (opening ??= openEmbedder(dataDir).catch((error: unknown) => {
      opening = undefined;
      throw error;
    }));
  const quiet = new Quiet(QUIET_MS);
  const evidence = new EvidenceFiles(() => options.log.listSessions({ tenant, limit: 500 }));
  const closed = new AbortController();
  const global = new GlobalKnowledge({
    ...options,
    embedder,
    evidence,
    vectors: async ({ model }) => (await import("@guildhall/knowledge")).openVectorIndex(model),
    pace: () => quiet.wait(closed.signal),
  });
  const keeper = new KnowledgeKeeper({ tenant, knowledge: global, border, clock, journal, settings, embedder, evidence });
  return {
    global,
    keeper,
    part: memoryPart({ clock, journal, embedder, quiet, sources: (place) => [knowledgeSource({ ...options, global }, place)] }),
    async close() {
      closed.abort();
      await global.close();
      const opened = await opening?.catch(() => undefined); // Whoever asked for it was told.
      await opened?.close();
    },
  };
}

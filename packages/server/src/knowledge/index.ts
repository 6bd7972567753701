import type { Clock } from "@guildhall/core";
import type { CachedEmbedder } from "@guildhall/knowledge";

import type { Log } from "../daemon/log.ts";
import type { PartFactory } from "../parts/session-parts.ts";
import { openEmbedder } from "./embedder.ts";
import { memoryPart } from "./memory-part.ts";

export interface KnowledgeOptions {
  dataDir: string;
  clock: Pick<Clock, "now">;
  journal: Log;
}

/** What a daemon knows: one embedder for all its sessions, each session's memory. Nothing is opened before it is used. */
export interface KnowledgeParts {
  readonly part: PartFactory;
  close(): Promise<void>;
}

export function createKnowledge(options: KnowledgeOptions): KnowledgeParts {
  const { dataDir, clock, journal } = options;
  let opening: Promise<CachedEmbedder> | undefined;
  const embedder = (): Promise<CachedEmbedder> =>
    (opening ??= openEmbedder(dataDir).catch((error: unknown) => {
      opening = undefined;
      throw error;
    }));
  return {
    part: memoryPart({ clock, journal, embedder, sources: () => [] }),
    async close() {
      const opened = await opening?.catch(() => undefined); // Whoever asked for it was told.
      await opened?.close();
    },
  };
}

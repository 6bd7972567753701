import { join } from "node:path";

import { type Checkpointer, type CheckpointStore, type EventLog, GuildError, type Sandbox, type SessionRecord } from "@guildhall/core";

import { CopyPlaces } from "./copy-places.ts";
import { findCutOff, findCutOffBefore, lookBack, type LookedBack } from "./cut-off.ts";
import { HeldFiles } from "./held-files.ts";
import { holdingCheckpointer } from "./holding-checkpointer.ts";
import { protectedPaths } from "./protected-paths.ts";
import { ReviewCopies } from "./review-copies.ts";
import { SessionResults } from "./session-results.ts";
import { UnseenWork } from "./unseen-work.ts";

export { heldPart } from "./held-part.ts";
export { resultsService } from "./results-service.ts";

export interface ResultsOptions {
  /** Data of sessions' results. */
  directory: string;
  log: EventLog;
  checkpointStore(workspace: string): Promise<CheckpointStore>;
  isRunning(session: string): boolean;
  /** Closes what a resting session keeps open: its sandbox works in the copy. */
  rest(session: string): Promise<void>;
  /** Milliseconds since 1970. */
  now(): number;
}

/** What becomes of the work of sessions, put together for one daemon. */
export interface Results {
  readonly results: SessionResults;
  readonly held: HeldFiles;
  /** Makes the copy in which a session is to work, when there is none yet. */
  makeCopy(record: SessionRecord): Promise<string>;
  /** What a session's workbench has on account of how its results are applied. */
  workbench(record: SessionRecord, apply: string, provider: string, unprotected: readonly string[]): OwnWorkbench;
}

/** What a session's workbench has of its own. */
export interface OwnWorkbench {
  source?: () => Promise<string>;
  apart?: string;
  checkpoints?: (checkpointer: Checkpointer, sandbox: Sandbox) => Promise<Checkpointer>;
  /** What is to be read-only in its sandbox; before that is made. Default: all that is protected. */
  protect?: () => Promise<{ readOnly: string[]; writable?: string[] }>;
}

/** What was found when work goes on that nobody had looked at. */
interface Looked extends LookedBack {
  tree: string;
  since: number;
  /** The session of which it was noted. */
  noted: string | undefined;
}

const CLOCK_MARGIN_MS = 1_000;

export function createResults(options: ResultsOptions): Results {
  const { directory, now } = options;
  const held = new HeldFiles(directory);
  const places = new CopyPlaces(options.log);
  const copies = new ReviewCopies(join(directory, "copies"), { inUse: (session) => options.isRunning(session), now });
  const unseen = new UnseenWork(join(directory, "unseen"), now);
  return {
    held,
    results: new SessionResults({ ...options, held, copies, rest: (session) => options.rest(session) }),
    makeCopy: ({ session, workspace, tenant }) => places.open(copies, { tenant, session }, workspace),
    workbench(record, apply, provider, unprotected) {
      const { session, workspace, tenant } = record;
      if (apply === "review") {
        if (provider === "host") {
          throw new GuildError("unsupported", "without a sandbox there is no copy for review", {
            remedy: "leave --sandbox host, or --review, out",
          });
        }
        const source = () => places.open(copies, { tenant, session }, workspace);
        return { source, apart: session, protect: async () => ({ readOnly: [] }) };
      }
      // Without isolation nothing is held: the person was warned, and has said so.
      if (provider === "host") return {};
      const store = () => options.checkpointStore(workspace);
      const look = async (): Promise<{ readOnly: string[]; writable: string[]; from?: Looked }> => {
        const found = protectedPaths(workspace, unprotected);
        const { log, isRunning } = options;
        const noted = await unseen.find(workspace);
        // A tree that is not kept any more says nothing.
        const left = noted !== undefined && (await (await store()).has(noted.tree)) ? noted : undefined;
        const cut = (await findCutOff(log, record)) ?? left ?? (await findCutOffBefore(log, record, isRunning));
        if (cut === undefined) return { readOnly: found, writable: [] };
        const back = await lookBack(cut, workspace, found, await store());
        return { readOnly: back.kept, writable: back.opened, from: { tree: cut.tree, since: cut.since, noted: noted?.session, ...back } };
      };
      const tell = (work: { tree: string; since: number; until?: number }): Promise<void> => unseen.note(session, workspace, work);
      let looking: ReturnType<typeof look> | undefined;
      const looked = () => (looking ??= look());
      const began = now();
      return {
        protect: looked,
        async checkpoints(checkpointer, sandbox) {
          const { from, readOnly } = await looked();
          const own = holdingCheckpointer(checkpointer, {
            session,
            sandbox,
            held,
            store,
            unprotected,
            trusted: readOnly,
            now,
            ...(from === undefined ? {} : { from }),
            unseen: {
              runs: (tree) => tell({ tree, since: now() - CLOCK_MARGIN_MS }),
              ended: (tree) => tell({ tree, since: began, until: now() }),
              seen: () => unseen.forget(session),
            },
          });
          // Before the session can do anything, or end.
          if (from !== undefined) await own.capture();
          if (from?.noted !== undefined) await unseen.forget(from.noted);
          return own;
        },
      };
    },
  };
}

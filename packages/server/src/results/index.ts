import { join } from "node:path";

import { type Checkpointer, type CheckpointStore, type EventLog, GuildError, type Sandbox, type SessionRecord } from "@guildhall/core";

import { CopyPlaces } from "./copy-places.ts";
import { HeldFiles } from "./held-files.ts";
import { holdingCheckpointer } from "./holding-checkpointer.ts";
import { ReviewCopies } from "./review-copies.ts";
import { SessionResults } from "./session-results.ts";

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
  workbench(
    record: SessionRecord,
    apply: string,
    provider: string,
    unprotected: readonly string[],
  ): { source?: () => Promise<string>; apart?: string; checkpoints?: (checkpointer: Checkpointer, sandbox: Sandbox) => Checkpointer };
}

export function createResults(options: ResultsOptions): Results {
  const { directory, now } = options;
  const held = new HeldFiles(directory);
  const places = new CopyPlaces(options.log);
  const copies = new ReviewCopies(join(directory, "copies"), { inUse: (session) => options.isRunning(session), now });
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
        return { source: () => places.open(copies, { tenant, session }, workspace), apart: session };
      }
      // Without isolation nothing is held: the person was warned, and has said so.
      if (provider === "host") return {};
      return {
        checkpoints: (checkpointer, sandbox) =>
          holdingCheckpointer(checkpointer, { session, sandbox, held, store: () => options.checkpointStore(workspace), unprotected, now }),
      };
    },
  };
}

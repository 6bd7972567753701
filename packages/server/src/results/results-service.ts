import type { ServiceImpl } from "@connectrpc/connect";
import type { ResultsService } from "@guildhall/protocol";

import { keyOf } from "../sessions/session-desk.ts";
import type { SessionResults } from "./session-results.ts";

/** What a session has changed: to look at, and to bring into the workspace. */
export function resultsService({ results }: { results: SessionResults }): ServiceImpl<typeof ResultsService> {
  return {
    async diffSession({ sessionId, paths, held: heldOnly }) {
      const key = keyOf(sessionId);
      const { apply, changes, diff } = heldOnly ? { apply: "direct", ...(await results.held(key)) } : await results.diff(key, paths);
      const kept = heldOnly ? [] : await results.kept(key);
      return { apply, diff, kept, files: changes.map(({ path, change, held, applied }) => ({ path, change, held, applied })) };
    },
    async applySession({ sessionId, paths }) {
      return await results.apply(keyOf(sessionId), paths);
    },
    async discardSession({ sessionId }) {
      return { discarded: await results.discard(keyOf(sessionId)) };
    },
  };
}

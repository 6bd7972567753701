import { setImmediate as nextTurn } from "node:timers/promises";

import type { EventLog, SessionKey, SessionMemory } from "@guildhall/core";

/** Events taken in before others get their turn. */
const AT_ONCE = 32;

/**
 * Keeps a memory up with a session's log from the first event on, those to come included: what a worker starts beside the agent, after a restart
 * or takeover as well. Resolves when the signal aborts; rejects with what kept it from reading.
 */
export async function followSession(
  log: Pick<EventLog, "watch">,
  key: SessionKey,
  memory: SessionMemory,
  signal: AbortSignal,
): Promise<void> {
  for await (const events of log.watch(key, 1, signal)) {
    for (let from = 0; from < events.length; from += AT_ONCE) {
      memory.observe(events.slice(from, from + AT_ONCE));
      await nextTurn();
    }
  }
}

import { body, type EventLog } from "@guildhall/core";
import { Control } from "@guildhall/protocol";

import type { TaskRecord } from "../storage/task-store.ts";
import { closeTurn } from "./close-turn.ts";

/** Ends the turns of tasks that nobody wants any more: whoever runs one, at whatever orchestrator, is interrupted; where nobody does, it is closed. */
export async function cancelSessions(
  log: EventLog,
  owner: string,
  tasks: readonly TaskRecord[],
  reason = "the task was cancelled",
): Promise<void> {
  for (const { tenant, session } of tasks) {
    if (session === undefined) continue;
    const key = { tenant, session };
    const { turnOpen, leaseOwner } = await log.getSession(key);
    if (!turnOpen) continue;
    if (leaseOwner === undefined) await closeTurn(log, key, owner, reason, "cancelled");
    else await log.appendInput(key, "system", [body.controlRequested({ control: Control.INTERRUPT, reason })]);
  }
}

import { TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";

/**
 * Ends a task whose turn was done before and whose result has now come where it was to go, or has not: then it fails, and the result stays in
 * its last checkpoint. Changes nothing of a task that ended with its turn.
 */
export async function endDelivery(
  { store, tenant }: { store: TaskStore; tenant: string },
  { id, spec }: TaskRecord,
  undelivered: string,
): Promise<void> {
  if (spec.resultBranch === "") return;
  const { reason } = await store.get(tenant, id);
  const end =
    undelivered === ""
      ? { to: TaskState.SUCCEEDED, reason }
      : { to: TaskState.FAILED, reason: `the result was not delivered: ${undelivered}; it is kept: guild task result ${id}` };
  await store.change(tenant, [{ id, from: [TaskState.RUNNING], ...end }]);
}

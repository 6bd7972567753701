import type { EventLog } from "@guildhall/core";
import { TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import { cancelSessions } from "./cancel-sessions.ts";

/** Fails a task whose time is over, whatever it was at; returns it if it has changed. What follows for others is their edges' matter. */
export async function expire(
  { store, log, tenant }: { store: Pick<TaskStore, "change">; log: EventLog; tenant: string },
  owner: string,
  { id, spec }: TaskRecord,
): Promise<TaskRecord[]> {
  const from = [TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING, TaskState.HELD];
  const reason = `it has not ended within its ${spec.deadlineSeconds} seconds`;
  const failed = await store.change(tenant, [{ id, from, to: TaskState.FAILED, reason }]);
  await cancelSessions(log, owner, failed, `the task failed: ${reason}`);
  return failed;
}

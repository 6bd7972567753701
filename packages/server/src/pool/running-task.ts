import type { Policy, RunningTask } from "@guildhall/orchestrator";
import { TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import { needsOf, sharedPath } from "./task-terms.ts";

/** A task that a worker has been given. */
export interface Running {
  task: TaskRecord;
  member: string;
  yielding: boolean;
}

/** How this pool shares out: one priority point a minute of waiting, pre-emption by thirty points. */
export const POLICY: Omit<Policy, "groupLimits"> = {
  weights: {},
  tenantLimits: {},
  ageingPerMinute: 1,
  preemptionGap: 30,
  maxPlacements: 64,
};

/** Tasks whose time is over, by the clock of the database: a jump of this process's ends none. */
export async function overdue(store: Pick<TaskStore, "now">, tasks: readonly TaskRecord[]): Promise<TaskRecord[]> {
  const limited = tasks.filter(({ spec }) => spec.deadlineSeconds > 0);
  if (limited.length === 0) return [];
  const now = (await store.now()).getTime();
  return limited.filter(({ spec, submitted }) => now - submitted.getTime() > spec.deadlineSeconds * 1_000);
}

/** What other orchestrators have left for us (`left`: new, or of another priority) and `taken`, by the rows of all open tasks. */
export function compareRows(
  rows: readonly TaskRecord[],
  waiting: ReadonlyMap<string, TaskRecord>,
  running: ReadonlyMap<string, Running>,
): { taken: string[]; left: TaskRecord[] } {
  const queued = new Map(rows.flatMap((task) => (task.state === TaskState.QUEUED ? [[task.id, task]] : [])));
  return {
    taken: [...waiting.keys()].filter((id) => !queued.has(id)),
    left: [...queued.values()].filter(({ id, priority }) => !running.has(id) && waiting.get(id)?.priority !== priority),
  };
}

/** As the scheduler sees it. */
export function asRunning({ task, member, yielding }: Running): RunningTask {
  return {
    id: task.id,
    tenant: task.tenant,
    group: sharedPath(task.spec),
    priority: task.priority,
    worker: member,
    needs: needsOf(task.spec),
    preemptible: true,
    yielding,
  };
}

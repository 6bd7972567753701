import type { Policy, RunningTask } from "@guildhall/orchestrator";

import type { TaskRecord } from "../storage/task-store.ts";
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

export function isOverdue({ spec, submitted }: TaskRecord): boolean {
  return spec.deadlineSeconds > 0 && Date.now() - submitted.getTime() > spec.deadlineSeconds * 1_000;
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

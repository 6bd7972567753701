import type { Policy, QueuedTask, RunningTask } from "@guildhall/orchestrator";
import { type TaskSpec, TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import { groupsOf, organisationOf } from "./shares.ts";
import { needsOf, sharedPath } from "./task-terms.ts";

/** A task that a worker has been given. */
export interface Running {
  task: TaskRecord;
  member: string;
  yielding: boolean;
  /** When it was given to that worker, monotonic milliseconds. */
  since: number;
  /** The worker that it is to go on at; room is kept there. */
  to?: string | undefined;
  /** When it was asked to move, monotonic. */
  asked?: number;
  /** It is not asked to move until then, monotonic. */
  staysUntil?: number;
}

/** How this pool shares out: pre-emption by thirty points. */
export const POLICY: Omit<Policy, "groupLimits" | "weights"> = {
  tenantLimits: {},
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

/**
 * Answers for these a while longer; returns those that are not ours any more: they run for another orchestrator, because their worker has joined that
 * one, or wait, because that one has put them back. `twice`: kept from look to look, for what we put back ourselves waits for a moment, too.
 */
export async function givenAway(
  store: Pick<TaskStore, "renew" | "get">,
  running: readonly Running[],
  { tenant, owner, claimMs, twice }: { tenant: string; owner: string; claimMs: number; twice: ReturnType<typeof seenTwice> },
): Promise<string[]> {
  const ids = running.map(({ task }) => task.id);
  const ours = new Set(ids.length === 0 ? [] : (await store.renew(tenant, owner, ids, claimMs)).map(({ id }) => id));
  const gone: string[] = [];
  const waiting: TaskRecord[] = [];
  for (const id of ids) {
    if (ours.has(id)) continue;
    // One that has ended is no other's: its worker is about to say so.
    const row = await store.get(tenant, id);
    if (row.state === TaskState.RUNNING && row.claimOwner !== owner) gone.push(id);
    else if (row.state === TaskState.QUEUED) waiting.push(row);
  }
  return [...gone, ...twice(waiting).map(({ id }) => id)];
}

/**
 * Of the tasks of each look those that the look before had too, running under the same epoch: an orchestrator that lives has said so in between, also
 * where the database's clock was set forward.
 */
export function seenTwice(): (found: readonly TaskRecord[]) => TaskRecord[] {
  let before = new Set<string>();
  return (found) => {
    const name = ({ id, epoch }: TaskRecord): string => `${id} ${epoch}`;
    const again = found.filter((task) => before.has(name(task)));
    before = new Set(found.map(name));
    return again;
  };
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

/** As the scheduler sees it; `workedMs`: what it was worked on so far, which makes it no older. */
export function asRunning({ task, member, yielding, to }: Running, workedMs = 0): RunningTask {
  return {
    id: task.id,
    tenant: organisationOf(task.spec),
    groups: groupsOf(task.spec),
    priority: task.priority,
    worker: member,
    needs: needsOf(task.spec),
    preemptible: true,
    yielding,
    to,
    submitted: task.submitted.getTime() + workedMs,
  };
}

/** A waiting one, in the same way. */
export function asQueued({ id, spec, priority, submitted }: TaskRecord, workedMs = 0): QueuedTask {
  const needs = needsOf(spec);
  const base = { tenant: organisationOf(spec), groups: groupsOf(spec), environment: "", workspace: sharedPath(spec) };
  return { id, priority, submitted: submitted.getTime() + workedMs, needs, kind: kindOf(spec), ...base };
}

/** What a task is like: its project, else the repository that it clones; empty: like no other. */
export function kindOf({ project, workspace }: TaskSpec): string {
  return project || (workspace?.source.case === "gitUrl" ? workspace.source.value : "");
}

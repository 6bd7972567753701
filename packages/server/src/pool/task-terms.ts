import { create } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import {
  type GraphTask,
  type Needs as SchedulerNeeds,
  type TaskState as GraphState,
  whyImpossible,
  type Worker,
} from "@guildhall/orchestrator";
import { type Needs, NeedsSchema, OnFailure, type TaskSpec, TaskState } from "@guildhall/protocol";

/** What a task takes that says nothing: agents mostly wait for models. */
const USUAL = { cpu: 0.25, memoryBytes: 256 << 20 };

export function needsOf(spec: TaskSpec): SchedulerNeeds {
  const needs: Needs = spec.needs ?? create(NeedsSchema);
  return {
    cpu: needs.cpu || USUAL.cpu,
    memoryBytes: Number(needs.memoryBytes) || USUAL.memoryBytes,
    diskBytes: Number(needs.diskBytes),
    slots: needs.slots || 1,
    role: needs.role,
    labels: needs.labels,
    environmentKind: needs.environmentKind,
  };
}

/**
 * Throws `failed_precondition` with the reason when none of these workers can ever take such a task; none at all may still grow. `shared`: there may
 * be others elsewhere, so that the reason is returned instead.
 */
export function checkPossible(spec: TaskSpec, workers: readonly Worker[], { shared }: { shared: boolean }): string | undefined {
  const reason = workers.length === 0 ? undefined : whyImpossible(needsOf(spec), workers);
  if (reason === undefined) return undefined;
  const message = `no worker can ever take this task: ${reason}`;
  if (shared) return message;
  throw new GuildError("failed_precondition", message, {
    subject: spec.name,
    remedy: "ask for less, or let a larger worker join: guild pool list",
  });
}

/** Directory that the task works in where it is a shared one; empty: one of its own. */
export function sharedPath(spec: TaskSpec): string {
  return spec.workspace?.source.case === "path" ? spec.workspace.source.value : "";
}

/** The tasks of one request as a graph; names stand for ids. */
export function asGraph(specs: readonly TaskSpec[]): GraphTask[] {
  return specs.map(({ name, dependencies }) => ({
    id: name,
    dependencies: dependencies.map(({ on, onFailure }) => ({ on, onFailure: failurePolicies[onFailure] ?? "fail" })),
  }));
}

const failurePolicies: Partial<Record<OnFailure, "fail" | "skip" | "continue">> = {
  [OnFailure.FAIL]: "fail",
  [OnFailure.SKIP]: "skip",
  [OnFailure.CONTINUE]: "continue",
};

export function asGraphState(state: TaskState): GraphState {
  return graphStates[state] ?? "waiting";
}

const graphStates: Partial<Record<TaskState, GraphState>> = {
  [TaskState.WAITING]: "waiting",
  [TaskState.QUEUED]: "ready",
  [TaskState.RUNNING]: "running",
  [TaskState.HELD]: "running",
  [TaskState.SUCCEEDED]: "succeeded",
  [TaskState.FAILED]: "failed",
  [TaskState.SKIPPED]: "skipped",
  [TaskState.CANCELLED]: "cancelled",
};

export function fromGraphState(state: GraphState): TaskState {
  const found = Object.entries(graphStates).find(([, name]) => name === state);
  return found === undefined ? TaskState.WAITING : (Number(found[0]) as TaskState);
}

/** Throws `invalid_argument` for what no task can be, whatever the pool. */
export function checkSpec(spec: TaskSpec): void {
  const refuse = (message: string, remedy: string): never => {
    throw new GuildError("invalid_argument", message, { subject: spec.name, remedy });
  };
  if (spec.goal.trim() === "") refuse("a task needs a goal", "say what is to be reached");
  if (spec.priority > 100) refuse(`${spec.priority} is no priority`, "give 0 (whenever) to 100 (now)");
  if (spec.workspace?.source.case === undefined) refuse("a task needs a workspace", "name a directory or a git URL");
  if (spec.workspace?.source.case === "gitUrl" && !/^(https?|ssh|git|file):\/\/|^[\w.-]+@[\w.-]+:/.test(spec.workspace.source.value))
    refuse(`${spec.workspace.source.value} is no git URL`, "give https://…, ssh://… or file://…");
  if (spec.resultBranch !== "" && spec.workspace?.source.case !== "gitUrl")
    refuse(
      "a result can be pushed only to the repository that the task clones",
      "give --git with --push, or take it with guild task result",
    );
  if (spec.project !== "" && !/^[\w.-]+(\/[\w.-]+)*$/.test(spec.project)) refuse(`${spec.project} is no project`, "name it as org/project");
}

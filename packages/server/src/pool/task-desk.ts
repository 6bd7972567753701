import { create } from "@bufbuild/protobuf";
import { GuildError, type Ids } from "@guildhall/core";
import { GraphRun, validateGraph } from "@guildhall/orchestrator";
import {
  type ListTasksRequest,
  type SubmitTasksRequest,
  type TaskSpec,
  TaskSpecSchema,
  TaskState,
  type UploadWorkspaceRequest,
} from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { type ResultPart, taskResult, type TaskResultDeps } from "./task-result.ts";
import { asGraph, checkSpec, fromGraphState } from "./task-terms.ts";
import { receiveUpload, UPLOADS } from "./uploads.ts";

export interface TaskDeskDeps {
  tenant: string;
  store: TaskStore;
  dispatcher: Dispatcher;
  ids: Ids;
  now(): Date;
  /** Throws for a model, sandbox or directory that cannot be had. */
  checkTerms(spec: TaskSpec, credentials: Record<string, string>): Promise<void>;
  /** Keeps credentials in memory for the sessions of these tasks. */
  lend(tasks: readonly TaskRecord[], credentials: Record<string, string>): void;
  result: TaskResultDeps;
}

/** Takes in tasks: everything that can be refused is refused before anything is stored. */
export class TaskDesk {
  readonly #deps: TaskDeskDeps;
  /** When uploads that no task waits with were last removed. */
  #tidied = 0;

  constructor(deps: TaskDeskDeps) {
    this.#deps = deps;
  }

  async submit(request: SubmitTasksRequest): Promise<TaskRecord[]> {
    const { tenant, store, dispatcher, ids, now } = this.#deps;
    if (request.tasks.length === 0) throw new GuildError("invalid_argument", "there is no task in the request");
    const specs = request.tasks.map((spec, index) =>
      create(TaskSpecSchema, { ...spec, name: spec.name === "" ? `task-${index + 1}` : spec.name }),
    );
    const graph = asGraph(specs);
    validateGraph(graph);
    const doubts = new Map<string, string>();
    for (const spec of specs) {
      checkSpec(spec);
      const doubt = dispatcher.checkPossible(spec);
      if (doubt !== undefined) doubts.set(spec.name, `${doubt}, of those that this orchestrator knows`);
    }
    const terms = new Map(
      specs.map((spec) => [
        JSON.stringify([spec.model, spec.baseUrl, spec.sandbox, spec.approvalPolicy, spec.workspace?.source.value]),
        spec,
      ]),
    );
    for (const spec of terms.values()) await this.#deps.checkTerms(spec, request.credentials);
    const states = new Map(
      new GraphRun(graph).advance().map(({ task, state, reason }) => [task, { state: fromGraphState(state), reason }]),
    );
    const graphId = ids.next("grf");
    const submitted = now();
    const tasks = specs.map((spec): TaskRecord => {
      const { state, reason } = states.get(spec.name) ?? { state: TaskState.WAITING, reason: "waits for what it depends on" };
      return {
        tenant,
        id: ids.next("tsk"),
        graph: graphId,
        spec,
        state,
        reason: state === TaskState.QUEUED ? (doubts.get(spec.name) ?? "") : reason,
        priority: spec.priority,
        attempt: 0,
        epoch: 0,
        session: undefined,
        worker: undefined,
        claimOwner: undefined,
        submitted,
        started: undefined,
        ended: undefined,
      };
    });
    const stored = await store.insert(tenant, tasks, request.requestId);
    this.#deps.lend(stored, request.credentials);
    dispatcher.added(stored.filter(({ state }) => state === TaskState.QUEUED));
    return stored;
  }

  /** Takes in the files of a workspace; see {@link receiveUpload}. */
  async upload(requests: AsyncIterable<UploadWorkspaceRequest>): Promise<{ upload: string; files: number; bytes: bigint }> {
    const { store: rows, tenant, result, now } = this.#deps;
    const uploads = await result.checkpoints(UPLOADS);
    const { upload, files, bytes } = await receiveUpload(uploads, requests);
    if (now().getTime() - this.#tidied > TIDY_MS) {
      this.#tidied = now().getTime();
      const open = (await rows.open(tenant)).flatMap(({ spec: { workspace } }) =>
        workspace?.source.case === "upload" ? [workspace.source.value] : [],
      );
      await uploads.collect([upload, ...open]);
    }
    return { upload, files, bytes: BigInt(bytes) };
  }

  /** What a task's session has changed; see {@link taskResult}. */
  async *result(id: string): AsyncIterable<ResultPart> {
    yield* taskResult(this.#deps.result, await this.get(id));
  }

  get(id: string): Promise<TaskRecord> {
    return this.#deps.store.get(this.#deps.tenant, id);
  }

  list({ limit, graphId, unfinished }: ListTasksRequest): Promise<TaskRecord[]> {
    const most = Math.min(limit === 0 ? 50 : limit, 10_000);
    return this.#deps.store.list(this.#deps.tenant, { limit: most, unfinished, ...(graphId === "" ? {} : { graph: graphId }) });
  }

  cancel(id: string): Promise<TaskRecord[]> {
    return this.#deps.dispatcher.cancel(id);
  }

  async setPriority(id: string, priority: number): Promise<TaskRecord> {
    if (priority > 100)
      throw new GuildError("invalid_argument", `${priority} is no priority`, { remedy: "give 0 (whenever) to 100 (now)" });
    await this.get(id);
    return await this.#deps.dispatcher.setPriority(id, priority);
  }
}

const TIDY_MS = 3_600_000;

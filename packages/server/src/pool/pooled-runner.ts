import { create } from "@bufbuild/protobuf";
import { GuildError, type Ids, type SessionRecord } from "@guildhall/core";
import { TaskSpecSchema, TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import type { RunOptions, SessionHost, SessionRunner } from "../worker/session-host.ts";
import type { Dispatcher } from "./dispatcher.ts";

export interface PooledRunnerDeps {
  /** For what is done to resting sessions here: rewinds and forks. */
  host: SessionHost;
  dispatcher: Dispatcher;
  store: TaskStore;
  ids: Ids;
  lend(session: string, credentials: Readonly<Record<string, string>>): Promise<void>;
  failed(session: string, error: unknown): void;
}

/** Sessions that people start, worked on by the pool: each run is a task. */
export function pooledRunner({ host, dispatcher, store, ids, lend, failed }: PooledRunnerDeps): SessionRunner {
  const failures = new Map<string, GuildError>();
  const enqueue = async (record: SessionRecord, options: RunOptions): Promise<void> => {
    await lend(record.session, options.credentials);
    const { tenant, session, workspace, title } = record;
    const known = await store.ofSession(tenant, session);
    if (known !== undefined) {
      const from = [TaskState.HELD, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED];
      const again = await store.change(tenant, [{ id: known.id, from, to: TaskState.QUEUED, reason: "taken up again" }]);
      return dispatcher.added(again, !options.unattended);
    }
    const task: TaskRecord = {
      tenant,
      id: ids.next("tsk"),
      graph: ids.next("grf"),
      spec: create(TaskSpecSchema, {
        name: session,
        goal: title,
        workspace: { source: { case: "path", value: workspace } },
        priority: usual,
      }),
      state: TaskState.QUEUED,
      reason: "",
      priority: usual,
      attempt: 0,
      epoch: 0,
      session,
      worker: undefined,
      claimOwner: undefined,
      submitted: new Date(),
      started: undefined,
      ended: undefined,
    };
    dispatcher.added(await store.insert(tenant, [task]), !options.unattended);
  };
  return {
    get running() {
      return dispatcher.counts.running;
    },
    worker: host.worker,
    isRunning: (session) => dispatcher.runningIn(session) !== undefined,
    checkFree(workspace, except) {
      host.checkFree(workspace, except);
      const task = dispatcher.runningAt(workspace);
      if (task === undefined || task.session === except) return;
      throw new GuildError("failed_precondition", `task ${task.id} is at work in this workspace`, {
        subject: workspace,
        remedy: "wait for it, cancel it, or work in a copy",
      });
    },
    claim(workspace) {
      this.checkFree(workspace);
      return host.claim(workspace);
    },
    ensureRunning(record, options) {
      failures.delete(record.session);
      enqueue(record, options).catch((error: unknown) => {
        failures.set(record.session, GuildError.from(error));
        failed(record.session, error);
      });
    },
    // The end of the turn comes with the events; only what kept it from being queued is known here.
    async rested(session, signal) {
      const aborted = Promise.withResolvers<void>();
      signal?.addEventListener("abort", () => aborted.resolve(), { once: true });
      if (signal !== undefined && !signal.aborted && !failures.has(session)) await aborted.promise;
      return failures.get(session);
    },
    borrow: (record) => host.borrow(record),
    cool: (session) => host.cool(session),
    addCredentials: (session, credentials) => void lend(session, credentials).catch((error: unknown) => failed(session, error)),
    stop: (how) => host.stop(how),
  };
}

const usual = 50;

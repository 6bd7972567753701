import { create } from "@bufbuild/protobuf";
import { type EventLog, GuildError, type Ids, type SessionRecord } from "@guildhall/core";
import { TaskSpecSchema, TaskState } from "@guildhall/protocol";

import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import { leavingMs, type RunOptions, type SessionHost, type SessionRunner } from "../worker/session-host.ts";
import type { Dispatcher } from "./dispatcher.ts";

export interface PooledRunnerDeps {
  /** For what is done to resting sessions here: rewinds and forks. */
  host: SessionHost;
  dispatcher: Dispatcher;
  store: TaskStore;
  log: Pick<EventLog, "getSession">;
  ids: Ids;
  lend(session: string, credentials: Readonly<Record<string, string>>): Promise<void>;
  failed(session: string, error: unknown): void;
}

/** Sessions that people start, worked on by the pool: each run is a task. */
export function pooledRunner({ host, dispatcher, store, log, ids, lend, failed }: PooledRunnerDeps): SessionRunner {
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
  /** As the host's `untilFree`, of the work of any worker. */
  const leaves = async (workspace: string, of?: Pick<SessionRecord, "session" | "parent">): Promise<void> => {
    const until = performance.now() + leavingMs;
    for (;;) {
      const task = dispatcher.runningAt(workspace);
      if (task === undefined || (of !== undefined && [of.session, of.parent].includes(task.session))) return;
      const open = task.session === undefined || (await log.getSession({ tenant: task.tenant, session: task.session })).turnOpen;
      if (open || performance.now() > until) {
        throw new GuildError("failed_precondition", `task ${task.id} is at work in this workspace`, {
          subject: workspace,
          remedy: "wait for it, cancel it, or work in a copy",
        });
      }
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
  };
  return {
    get running() {
      return dispatcher.counts.running;
    },
    worker: host.worker,
    isRunning: (session) => dispatcher.runningIn(session) !== undefined,
    async untilFree(workspace, of) {
      await host.untilFree(workspace, of);
      await leaves(workspace, of);
    },
    async claim(workspace) {
      await leaves(workspace);
      return await host.claim(workspace);
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

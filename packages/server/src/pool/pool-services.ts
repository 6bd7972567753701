import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Budgets, GuildError, type Spending } from "@guildhall/core";
import {
  type BudgetAmounts,
  type BudgetSchema,
  type BudgetService,
  type PoolService,
  type TaskSchema,
  type TaskService,
} from "@guildhall/protocol";
import type { JoinRequest, LedgerService, WorkerService } from "@guildhall/protocol/internal";

import type { BudgetLedger, BudgetRecord } from "../storage/budget-ledger.ts";
import type { TaskRecord } from "../storage/task-store.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { createOutbox } from "./outbox.ts";
import { aboutToWorker, type ToWorker } from "./pool-members.ts";
import type { TaskDesk } from "./task-desk.ts";

/** Work that waits for a worker. */
export function taskService(open: () => Promise<TaskDesk>): ServiceImpl<typeof TaskService> {
  return {
    submitTasks: async (request) => ({ tasks: (await (await open()).submit(request)).map(toTask) }),
    getTask: async ({ taskId }) => ({ task: toTask(await (await open()).get(taskId)) }),
    listTasks: async (request) => ({ tasks: (await (await open()).list(request)).map(toTask) }),
    cancelTask: async ({ taskId }) => ({ tasks: (await (await open()).cancel(taskId)).map(toTask) }),
    uploadWorkspace: async (requests) => await (await open()).upload(requests),
    async *getTaskResult({ taskId }) {
      yield* (await open()).result(taskId);
    },
    setTaskPriority: async ({ taskId, priority }) => ({ task: toTask(await (await open()).setPriority(taskId, priority)) }),
  };
}

/** The workers, for people. */
export function poolService(open: () => Promise<Dispatcher>): ServiceImpl<typeof PoolService> {
  return {
    async listWorkers() {
      const pool = await open();
      const others = (await pool.roster?.others(pool.members)) ?? [];
      return { ...pool.everywhere, workers: [...pool.workers, ...others] };
    },
    async drainWorker({ workerId }) {
      await (await open()).drain(workerId);
      return {};
    },
  };
}

/** The workers, for themselves. `local`: they run in this process. */
export function workerService(open: () => Promise<Dispatcher>, local: boolean): ServiceImpl<typeof WorkerService> {
  return {
    async *join(requests: AsyncIterable<JoinRequest>, context: HandlerContext) {
      const pool = await open();
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      if (first.done === true || first.value.kind.case !== "hello") throw new GuildError("invalid_argument", "a worker says hello first");
      let deaf = false;
      // Not listened to any more either, it is gone before long, and what it had goes to others.
      const outbox = createOutbox<ToWorker>({ about: aboutToWorker, overflowed: () => (deaf = true) });
      const send = (message: ToWorker): void => outbox.push(message);
      const member = await pool.join(first.value.kind.value, send, local);
      const gone = (): void => {
        pool.disconnected(member, send);
        outbox.end();
      };
      context.signal.addEventListener("abort", gone, { once: true });
      let waiting = 0;
      const listening = (async () => {
        let work = Promise.resolve();
        for (let next = await iterator.next(); next.done !== true && !deaf; next = await iterator.next()) {
          const message = next.value;
          // A sign of life waits for nothing: not for the database, which the end of another task waits for.
          if (message.kind.case === "heartbeat" || message.kind.case === "deltas") await pool.heard(member, message);
          else {
            // A worker that tells faster than anything can be done about it is not listened to any more.
            if (++waiting > MOST_WAITING) return;
            work = work.then(() => pool.heard(member, message));
            work.then(() => (waiting -= 1), gone);
          }
        }
        await work;
      })();
      // A connection that breaks is no fault of this service's: the worker's silence is found out.
      listening.then(gone, gone);
      try {
        yield* outbox.items();
      } finally {
        gone();
      }
      if (waiting > MOST_WAITING)
        throw new GuildError("resource_exhausted", `${MOST_WAITING} messages of the worker wait to be heard`, { remedy: "join again" });
    },
  };
}

/** Messages of one worker: far more than it has to say of all its tasks at once. */
const MOST_WAITING = 4_096;

/** Budgets above sessions, for people. */
export function budgetService(ledger: BudgetLedger, tenant: string): ServiceImpl<typeof BudgetService> {
  return {
    setBudget: async ({ path, limits }) => ({ budget: toBudget(await ledger.set(tenant, path, fromAmounts(limits))) }),
    listBudgets: async ({ path }) => ({ budgets: (await ledger.list(tenant, path === "" ? undefined : path)).map(toBudget) }),
  };
}

/** Budgets above sessions, for workers. */
export function ledgerService(ledger: Budgets): ServiceImpl<typeof LedgerService> {
  return {
    async reserve({ session, epoch, wanted, id }) {
      if (session === undefined) throw new GuildError("invalid_argument", "the request names no session");
      const { steps = 0, tokens = 0, costUsd = 0, seconds = 0 } = wanted ?? {};
      return await ledger.reserve({ tenant: session.tenant, session: session.session, epoch }, { steps, tokens, costUsd, seconds }, id);
    },
    async settle({ id, askedAgain, spent }) {
      const { steps = 0, tokens = 0, costUsd = 0, seconds = 0 } = spent ?? {};
      await ledger.settle({ id, askedAgain }, { steps, tokens, costUsd, seconds });
      return {};
    },
  };
}

function toTask(task: TaskRecord): MessageInitShape<typeof TaskSchema> {
  return {
    id: task.id,
    graphId: task.graph,
    spec: { ...task.spec, priority: task.priority },
    state: task.state,
    reason: task.reason,
    sessionId: task.session ?? "",
    workerId: task.worker ?? "",
    attempt: task.attempt,
    epoch: task.epoch,
    submitted: timestampFromDate(task.submitted),
    ...(task.started === undefined ? {} : { started: timestampFromDate(task.started) }),
    ...(task.ended === undefined ? {} : { ended: timestampFromDate(task.ended) }),
  };
}

function toBudget({ path, limits, spent, reserved }: BudgetRecord): MessageInitShape<typeof BudgetSchema> {
  return { path, limits: toAmounts(limits), spent: toAmounts(spent), reserved: toAmounts(reserved) };
}

function toAmounts({ steps, tokens, costUsd, seconds }: Spending) {
  return { steps: BigInt(Math.round(steps)), tokens: BigInt(Math.round(tokens)), costUsd, seconds: BigInt(Math.round(seconds)) };
}

function fromAmounts(amounts: BudgetAmounts | undefined): Spending {
  const { steps = 0n, tokens = 0n, costUsd = 0, seconds = 0n } = amounts ?? {};
  return { steps: Number(steps), tokens: Number(tokens), costUsd, seconds: Number(seconds) };
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { TaskSpecSchema, TaskState } from "@guildhall/protocol";
import { HelloSchema, JoinRequestSchema } from "@guildhall/protocol/internal";

import type { TaskRecord } from "../storage/task-store.ts";
import type { DispatcherDeps } from "./dispatcher-deps.ts";
import { Dispatcher } from "./dispatcher.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a task that is given to a worker", () => {
  it("goes back into the queue when the worker has left before that was stored", async () => {
    const task = { id: "tsk_a", tenant: "local", session: "ses_a", state: TaskState.QUEUED, epoch: 1, attempt: 0, submitted: new Date() };
    const queued = { ...task, graph: "grf_a", spec: create(TaskSpecSchema), priority: 50 } as unknown as TaskRecord;
    const [asked, stored] = [Promise.withResolvers<void>(), Promise.withResolvers<TaskRecord>()];
    const store = {
      open: async () => [],
      get: async () => queued,
      claim: () => (asked.resolve(), stored.promise),
      release: async ({ state }: TaskRecord) => (state === TaskState.RUNNING ? { ...queued, epoch: 2 } : undefined),
    };
    const dispatcher = new Dispatcher({
      tenant: "local",
      store,
      ids: { next: () => "wrk_o" },
      clock: { now: () => new Date(), monotonic: () => 0 },
      journal: { warn: () => undefined, error: assert.fail },
      busy: () => () => undefined,
      shares: () => ({ weights: {}, limits: {} }),
      deltas: { onWatched: () => undefined },
    } as unknown as DispatcherDeps);
    const hello = create(HelloSchema, {
      workerId: "wrk_a",
      protocolMin: 1,
      protocolMax: 1,
      capacity: { cpu: 2, memoryBytes: 1n << 33n, slots: 2 },
    });
    const member = await dispatcher.join(hello, () => undefined, false);
    await dispatcher.heard(member, create(JoinRequestSchema, { kind: { case: "heartbeat", value: {} } }));
    dispatcher.added([queued]);
    await asked.promise;
    await dispatcher.heard(member, create(JoinRequestSchema, { kind: { case: "goodbye", value: {} } }));
    stored.resolve({ ...queued, state: TaskState.RUNNING, worker: "wrk_a", epoch: 2 });
    await turn();
    assert.deepEqual(dispatcher.counts, { queued: 1, running: 0 });
    await dispatcher.stop();
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createRouterTransport } from "@connectrpc/connect";
import { type JoinRequest, WorkerService } from "@guildhall/protocol/internal";

import { WorkerAgent, type WorkerAgentDeps } from "./worker-agent.ts";

describe("a worker whose orchestrator is lost", () => {
  it("tells the next one of work that ends before it is welcome there", { timeout: 30_000 }, async () => {
    const [rested, cooled, heard] = [Promise.withResolvers<undefined>(), Promise.withResolvers<void>(), Promise.withResolvers<string[]>()];
    const session = { tenant: "local", session: "ses_a" };
    const welcome = {
      kind: { case: "welcome", value: { orchestratorId: "wrk_o", heartbeatMs: 1_000, fenceMs: 60_000, leaseMs: 60_000 } },
    } as const;
    const offer = { kind: { case: "offer", value: { taskId: "tsk_a", epoch: 1, directory: "/w", session } } } as const;
    let joins = 0;
    const transport = createRouterTransport(({ service }) =>
      service(WorkerService, {
        async *join(requests: AsyncIterable<JoinRequest>) {
          const said: string[] = [];
          joins += 1;
          if (joins === 1) yield* [welcome, offer];
          for await (const { kind } of requests) {
            said.push(kind.case ?? "");
            // The first is lost when the offer is taken.
            if (joins === 1 && kind.case === "answer") return;
            if (joins === 2 && kind.case === "hello") {
              assert.deepEqual(
                kind.value.held.map(({ taskId }) => taskId),
                ["tsk_a"],
              );
              rested.resolve(undefined);
              await cooled.promise;
              await new Promise((resolve) => setImmediate(resolve));
              yield welcome;
            }
            if (joins === 2 && kind.case === "heartbeat") heard.resolve(said);
          }
        },
      }),
    );
    const record = { turnOpen: true };
    const agent = new WorkerAgent({
      host: {
        worker: "wrk_a",
        checkFree: () => undefined,
        ensureRunning: () => undefined,
        rested: () => rested.promise,
        cool: async () => cooled.resolve(),
      },
      log: { getSession: async () => record },
      transports: [{ transport, address: "here" }],
      facts: { version: "1", slots: 1, labels: {}, roles: [], environmentKinds: [], seat: "", view: "" },
      clock: { now: () => new Date(), monotonic: () => performance.now() },
      journal: { info: () => undefined, warn: () => undefined, error: () => undefined },
      prepare: async () => ({ base: "" }),
      deliver: async () => undefined,
      credentials: () => ({}),
      moves: { ask: () => undefined, forget: () => undefined },
      deltas: { subscribe: () => () => undefined },
    } as unknown as WorkerAgentDeps);
    const running = agent.run();
    try {
      assert.deepEqual(await heard.promise, ["hello", "over", "heartbeat"]);
    } finally {
      await agent.stop({ now: true });
      await running;
    }
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { type JoinRequest, type JoinRequestSchema, WorkerService } from "@guildhall/protocol/internal";

import type { Dispatcher } from "./dispatcher.ts";
import { createOutbox } from "./outbox.ts";
import { missedTime } from "./pool-members.ts";
import { workerService } from "./pool-services.ts";

describe("signs of life", () => {
  it("are heard while what was said before them still waits", async () => {
    const heard: string[] = [];
    const [blocked, beat, free, over] = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
    const pool = {
      join: async () => ({}),
      disconnected: () => undefined,
      async heard(_: unknown, { kind }: JoinRequest) {
        if (kind.case === "over") {
          blocked?.resolve();
          await free?.promise;
        }
        heard.push(kind.case ?? "");
        if (kind.case === "heartbeat") beat?.resolve();
        if (heard.length === 3) over?.resolve();
      },
    };
    const transport = createRouterTransport(({ service }) =>
      service(
        WorkerService,
        workerService(async () => pool as unknown as Dispatcher, false),
      ),
    );
    const said = createOutbox<MessageInitShape<typeof JoinRequestSchema>>();
    said.push({ kind: { case: "hello", value: {} } });
    const joined = (async () => {
      for await (const answer of createClient(WorkerService, transport).join(said.items())) assert.fail(answer.kind.case);
    })();
    said.push({ kind: { case: "over", value: { taskId: "a" } } });
    await blocked?.promise;
    said.push({ kind: { case: "answer", value: { taskId: "b" } } });
    said.push({ kind: { case: "heartbeat", value: {} } });
    await beat?.promise;
    free?.resolve();
    await over?.promise;
    assert.deepEqual(heard, ["heartbeat", "over", "answer"], "the rest keeps its order");
    said.end();
    await joined;
  });

  it("are not listened to any more where a worker says more than can be done about it", async () => {
    const blocked = Promise.withResolvers<void>();
    let heard = 0;
    const pool = { join: async () => ({}), disconnected: () => undefined, heard: () => ((heard += 1), blocked.promise) };
    const transport = createRouterTransport(({ service }) =>
      service(
        WorkerService,
        workerService(async () => pool as unknown as Dispatcher, false),
      ),
    );
    let said = 0;
    const endless = async function* (): AsyncGenerator<MessageInitShape<typeof JoinRequestSchema>> {
      yield { kind: { case: "hello", value: {} } };
      for (; said < 100_000; said++) yield { kind: { case: "answer", value: { taskId: "a" } } };
    };
    await assert.rejects(async () => {
      for await (const answer of createClient(WorkerService, transport).join(endless())) assert.fail(answer.kind.case);
    });
    assert.ok(said < 10_000 && heard === 1, `${said} said, ${heard} heard`);
    blocked.resolve();
  });

  it("are not missed by who did not run", () => {
    const missed = missedTime(2_000);
    missed(1_000);
    assert.deepEqual(missed(2_500), [2_500, 0]);
    assert.deepEqual(missed(9_500), [9_500, 5_000]);
    assert.deepEqual(missed(10_500), [10_500, 0]);
  });
});

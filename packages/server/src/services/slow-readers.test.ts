import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { body, type Event } from "@guildhall/core";
import { MemoryEventLog } from "@guildhall/core/testing";
import { SessionService } from "@guildhall/protocol";
import { HelloSchema, WorkerService } from "@guildhall/protocol/internal";

import { createLog } from "../daemon/log.ts";
import type { Dispatcher } from "../pool/dispatcher.ts";
import { createOutbox } from "../pool/outbox.ts";
import { aboutToWorker, newMember, type ToWorker } from "../pool/pool-members.ts";
import { workerService } from "../pool/pool-services.ts";
import { createServiceHandler } from "../rpc/handler.ts";
import { listenOnTcp } from "../rpc/listen.ts";
import { openPeer, type Peer } from "../rpc/peer.ts";
import { createDeltaHub } from "../worker/deltas.ts";
import type { SessionRunner } from "../worker/session-host.ts";
import { watchSession } from "../worker/watch.ts";
import { forwardService } from "./forward.ts";

const silent = createLog(() => undefined);
const key = { tenant: "t", session: "ses_slow" };
const [count, size] = [2_000, 16_384];

type Routes = Parameters<typeof createServiceHandler>[0]["routes"];
const ends: Array<() => Promise<void> | void> = [];
const serve = async (routes: Routes): Promise<{ peer: Peer; address: string }> => {
  const { handler } = createServiceHandler({ log: silent, routes });
  const listener = await listenOnTcp({ host: "127.0.0.1", port: 0 }, { handler, connected: () => () => undefined });
  const peer = openPeer(listener.address);
  ends.push(() => listener.close());
  ends.push(() => peer.close());
  return { peer, address: listener.address };
};
const endAll = async (): Promise<void> => {
  for (const end of ends.splice(0).toReversed()) await end();
};
/** Once it does not change any more; a number that goes on growing is returned as soon as it passes `most`. */
const settled = async (value: () => number, most: number): Promise<number> => {
  for (let last = -1; last !== value() && value() <= most;) {
    last = value();
    await pause(500);
  }
  return value();
};

describe("who watches and does not read", () => {
  const log = new MemoryEventLog();
  let taken = 0;
  let gateway: { peer: Peer; address: string };
  before(async () => {
    await log.createSession({ ...key, title: "", workspace: "/w", actor: "t", events: [body.sessionStarted({ workspace: "/w" })] });
    for (let index = 1; index < count; index += 100) {
      const events = Array.from({ length: Math.min(100, count - index) }, () => body.messageReceived({ text: "x".repeat(size) }));
      await log.appendInput(key, "t", events);
    }
    const counted = {
      getSession: log.getSession.bind(log),
      async *watch(...args: Parameters<typeof log.watch>) {
        // As the store does it: by pages.
        for await (const events of log.watch(...args)) {
          for (let from = 0; from < events.length; from += 50) {
            const page = events.slice(from, from + 50);
            taken += page.length;
            yield page;
          }
        }
      },
    };
    const deps = {
      log: counted as unknown as typeof log,
      host: { isRunning: () => false } as unknown as SessionRunner,
      hub: createDeltaHub(),
    };
    const orchestrator = await serve(
      (router) =>
        void router.service(SessionService, {
          watchSession: (request, context) =>
            watchSession(deps, key, { from: request.fromSeq, follow: true, deltas: true, untilTurnEnd: false }, context.signal),
        }),
    );
    gateway = await serve((router) => forwardService(router, SessionService, orchestrator.peer));
  });
  after(endAll);

  it("is given what fits into the sockets, and the rest by its cursor when it reads again", async (t) => {
    taken = 0;
    const client = createClient(SessionService, gateway.peer.transport);
    const ended = new AbortController();
    const watching = client
      .watchSession({ sessionId: key.session, fromSeq: 1, follow: true }, { signal: ended.signal })
      [Symbol.asyncIterator]();
    const seen: Event[] = [...((await watching.next()).value?.events ?? [])];
    const waiting = await settled(() => taken, count);
    t.diagnostic(`${waiting} events of 16 KiB taken for a watcher that reads none`);
    assert.ok(waiting < count, `${waiting} of ${count} events were taken for somebody who reads none`);
    while (seen.length < count) seen.push(...((await watching.next()).value?.events ?? []));
    ended.abort();
    assert.deepEqual(
      seen.map(({ seq }) => seq),
      Array.from({ length: count }, (_, index) => index + 1),
    );
  });

  it("is given no more over HTTP/1.1", async (t) => {
    taken = 0;
    const message = Buffer.from(JSON.stringify({ sessionId: key.session, fromSeq: 1, follow: true }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const request = http.request(`${gateway.address}/guildhall.v1.SessionService/WatchSession`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", "connect-protocol-version": "1" },
    });
    request.on("error", () => undefined); // Torn below.
    request.end(Buffer.concat([head, message]));
    // A response that is never read.
    await new Promise((resolve) => request.once("response", resolve));
    const waiting = await settled(() => taken, count);
    request.destroy();
    t.diagnostic(`${waiting} events of 16 KiB taken for a watcher that reads none`);
    assert.ok(waiting < count, `${waiting} of ${count} events were taken for somebody who reads none`);
  });
});

describe("messages for a worker", () => {
  after(endAll);
  const offer = (taskId: string): ToWorker => ({ kind: { case: "offer", value: { taskId, epoch: 1 } } });

  it("wait once each, where the last word counts", async () => {
    const outbox = createOutbox<ToWorker>({ about: aboutToWorker });
    for (let round = 0; round < 10_000; round++) {
      outbox.push({ kind: { case: "seen", value: {} } });
      outbox.push({ kind: { case: "listen", value: { session: "a", on: round % 2 === 0 } } });
      outbox.push({ kind: { case: "stop", value: { taskId: "a", epoch: 1, now: false } } });
      if (round % 1_000 === 0) outbox.push(offer(`${round}`));
    }
    assert.equal(outbox.length, 13);
    outbox.end();
    const kinds: string[] = [];
    for await (const { kind } of outbox.items()) kinds.push(kind?.case ?? "");
    assert.deepEqual(kinds.toSorted(), [...Array<string>(10).fill("offer"), "listen", "seen", "stop"].toSorted());
  });

  it("end the stream of one that takes none, and it is listened to no more", async () => {
    let send: (message: ToWorker) => void = () => undefined;
    let heard = 0;
    const left = Promise.withResolvers<void>();
    const pool = {
      async join(hello: Parameters<Dispatcher["join"]>[0], sends: typeof send) {
        send = sends;
        send({ kind: { case: "welcome", value: { orchestratorId: "o" } } });
        return newMember(hello, undefined, { send, heard: 0, local: false });
      },
      heard: async () => void heard++,
      disconnected: () => left.resolve(),
    };
    const { peer } = await serve(
      (router) =>
        void router.service(
          WorkerService,
          workerService(async () => pool as unknown as Dispatcher, false),
        ),
    );
    const more = createOutbox<{ kind: { case: "heartbeat"; value: object } } | { kind: { case: "hello"; value: object } }>();
    more.push({ kind: { case: "hello", value: create(HelloSchema, { workerId: "w" }) } });
    const messages = createClient(WorkerService, peer.transport).join(more.items())[Symbol.asyncIterator]();
    assert.equal((await messages.next()).value?.kind.case, "welcome");
    for (let index = 0; index < 200_000; index++) send(offer(`tsk_${index}_${"x".repeat(40)}`));
    more.push({ kind: { case: "heartbeat", value: {} } });
    await left.promise;
    more.push({ kind: { case: "heartbeat", value: {} } });
    const reading = async (): Promise<void> => {
      for (let next = await messages.next(); next.done !== true;) next = await messages.next();
    };
    await assert.rejects(reading, /messages wait for a reader that takes none/);
    assert.ok(heard <= 1);
  });
});

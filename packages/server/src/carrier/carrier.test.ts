import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError, type ConnectRouter, createClient, type ServiceImpl, type Transport } from "@connectrpc/connect";
import { GuildError } from "@guildhall/core";
import { BlobService, LogService } from "@guildhall/protocol/internal";

import { createLog } from "../daemon/log.ts";
import { fromStatus } from "../rpc/from-status.ts";
import { createServiceHandler } from "../rpc/handler.ts";
import { listenOnTcp } from "../rpc/listen.ts";
import { openPeer } from "../rpc/peer.ts";
import { carriedTransport } from "./carried-transport.ts";

const silent = createLog(() => undefined);

/** How often calls of their own streams were made, by method. */
function counting(transport: Transport): { transport: Transport; streams: Map<string, number> } {
  const streams = new Map<string, number>();
  const count = ({ name }: { name: string }): void => void streams.set(name, (streams.get(name) ?? 0) + 1);
  return {
    streams,
    transport: {
      unary: async (...args) => (count(args[0]), await transport.unary(...args)),
      stream: async (...args) => (count(args[0]), await transport.stream(...args)),
    },
  };
}

async function served(routes: (router: ConnectRouter) => void, port = 0) {
  const { handler } = createServiceHandler({ log: silent, routes });
  const listener = await listenOnTcp({ host: "127.0.0.1", port }, { handler, connected: () => () => undefined });
  return { listener, port: Number(new URL(listener.address).port) };
}

/** Clients of a log service that is made of these methods. */
async function carried(log: Partial<ServiceImpl<typeof LogService>>) {
  const routes = (router: ConnectRouter): void => void router.service(LogService, log);
  const { listener, port } = await served(routes);
  const peer = openPeer(listener.address);
  const { transport, streams } = counting(peer.transport);
  const over = carriedTransport(transport);
  return {
    client: createClient(LogService, over),
    over,
    streams,
    /** The other side goes away and comes back at the same place. */
    async restart() {
      await listener.close();
      const again = await served(routes, port);
      return again.listener;
    },
    async close() {
      peer.close();
      await listener.close();
    },
  };
}

const ref = { tenant: "t", session: "s" };

describe("many calls over one stream", () => {
  it("share it, whatever their number, and are each answered with what is theirs", async () => {
    const { client, streams, close } = await carried({
      append: ({ expectedSeq }) => ({ events: [{ seq: expectedSeq + 1 }] }),
      async *read({ fromSeq }) {
        yield { events: [{ seq: fromSeq }] };
        yield { events: [{ seq: fromSeq + 1 }] };
      },
    });
    const calls = Array.from({ length: 200 }, async (_, expectedSeq) => {
      const { events } = await client.append({ ref, expectedSeq });
      assert.equal(events[0]?.seq, expectedSeq + 1);
      const seen: number[] = [];
      for await (const part of client.read({ ref, fromSeq: expectedSeq })) seen.push(...part.events.map(({ seq }) => seq));
      assert.deepEqual(seen, [expectedSeq, expectedSeq + 1]);
    });
    await Promise.all(calls);
    assert.deepEqual([...streams], [["Carry", 1]]);
    await close();
  });

  it("come back with the status that they would have alone", async () => {
    const { client, over, close } = await carried({
      append: () => {
        throw new GuildError("lease_lost", "another has it", { subject: "s", remedy: "leave it" });
      },
      async *read() {
        yield { events: [{ seq: 1 }] };
        throw new GuildError("corrupt", "page two is gone");
      },
    });
    const failure = await client.append({ ref }).then(
      () => assert.fail("it was answered"),
      (error: unknown) => fromStatus(error, "peer"),
    );
    assert.ok(GuildError.is(failure, "lease_lost"));
    assert.deepEqual([failure.message, failure.subject, failure.remedy], ["another has it", "s", "leave it"]);
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const { events } of client.read({ ref })) seen.push(events.length);
    }, /page two is gone/);
    assert.deepEqual(seen, [1], "what came before the failure is read");
    await assert.rejects(createClient(BlobService, over).hasBlob({ digest: "x" }), { code: Code.Unimplemented });
    await close();
  });

  it("end at their deadline and when they are cancelled, and the other side hears of it", async () => {
    const ended: string[] = [];
    const hang = (name: string, signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          ended.push(name);
          reject(signal.reason as Error);
        });
      });
    const { client, close } = await carried({
      append: (_, { signal }) => hang("append", signal),
      async *watch(_, { signal }) {
        yield { events: [] };
        await hang("watch", signal);
      },
    });
    await assert.rejects(client.append({ ref }, { timeoutMs: 50 }), { code: Code.DeadlineExceeded });
    const stop = new AbortController();
    await assert.rejects(async () => {
      for await (const { events } of client.watch({ ref }, { signal: stop.signal })) {
        assert.deepEqual(events, []);
        stop.abort();
      }
    }, ConnectError);
    while (ended.length < 2) await sleep(5);
    assert.deepEqual(ended, ["append", "watch"]);
    await close();
  });

  it("keep few messages waiting for who reads slowly", async () => {
    let made = 0;
    const { client, close } = await carried({
      async *watch() {
        for (;;) yield { events: [{ seq: (made += 1) }] };
      },
    });
    const stop = new AbortController();
    let seen = 0;
    try {
      for await (const { events } of client.watch({ ref }, { signal: stop.signal })) {
        assert.equal(events[0]?.seq, (seen += 1));
        await sleep(1);
        assert.ok(made <= seen + 20, `${made} were made when ${seen} were read`);
        if (seen === 100) stop.abort();
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
    assert.equal(seen, 100);
    await close();
  });

  it("fail as unavailable when it breaks, and later ones find another", async () => {
    const { client, streams, restart, close } = await carried({
      getRecord: () => ({}),
      append: () => new Promise(() => undefined),
    });
    await client.getRecord({ ref });
    const open = client.append({ ref });
    const failed = assert.rejects(open, { code: Code.Unavailable });
    const again = await restart();
    await failed;
    await client.getRecord({ ref });
    assert.equal(streams.get("Carry"), 2);
    await again.close();
    await close();
  });

  it("have streams of their own when they are large", async () => {
    const own = await carried({ append: ({ actor }) => ({ events: [{ seq: actor.length }] }) });
    const { events } = await own.client.append({ ref, actor: "x".repeat(1 << 20) });
    assert.equal(events[0]?.seq, 1 << 20);
    assert.deepEqual([...own.streams], [["Append", 1]]);
    await own.close();
  });
});

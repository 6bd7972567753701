import assert from "node:assert/strict";
import http2 from "node:http2";
import type net from "node:net";
import { describe, it } from "node:test";

import { Code, ConnectError, type ConnectRouter, createClient, type ServiceImpl, type Transport } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { GuildError } from "@guildhall/core";
import { type CallFrame, CarrierService, LogService } from "@guildhall/protocol/internal";

import { createLog } from "../daemon/log.ts";
import { createOutbox } from "../pool/outbox.ts";
import { fromStatus } from "../rpc/from-status.ts";
import { createServiceHandler } from "../rpc/handler.ts";
import { requireCertificate } from "../rpc/listen-tls.ts";
import { listenOnTcp, type RequestHandler } from "../rpc/listen.ts";
import { openPeer } from "../rpc/peer.ts";
import { requireTokenOf } from "../rpc/token.ts";
import type { Frame } from "./frame-box.ts";

const silent = createLog(() => undefined);
const ref = { tenant: "t", session: "s" };
type Log = Partial<ServiceImpl<typeof LogService>>;

async function served(log: Log, guard: (handler: RequestHandler) => RequestHandler = (handler) => handler) {
  const routes = (router: ConnectRouter): void => void router.service(LogService, log);
  const { handler } = createServiceHandler({ log: silent, routes });
  return await listenOnTcp({ host: "127.0.0.1", port: 0 }, { handler: guard(handler), connected: () => () => undefined });
}

async function reached(log: Log, body: (peer: { plain: Transport; carried: Transport }) => Promise<void>, token = "", guarded = "") {
  const listener = await served(log, guarded === "" ? undefined : (handler) => requireTokenOf(guarded, handler));
  const peer = openPeer(listener.address, { token });
  try {
    await body({ plain: peer.transport, carried: peer.carried });
  } finally {
    peer.close();
    await listener.close();
  }
}

/** What every call must find, however it is made. */
for (const how of ["plain", "carried"] as const) {
  describe(`a call, ${how}`, () => {
    const calling = (log: Log, body: (client: ReturnType<typeof createClient<typeof LogService>>) => Promise<void>) =>
      reached(log, (peer) => body(createClient(LogService, peer[how])));

    it("brings back what is large, whole, and refuses what is too large", async () => {
      const text = (size: number): string => "x".repeat(size);
      const log: Log = { getRecord: ({ ref: of }) => ({ record: { title: text(Number(of?.session)) } }) };
      await calling(log, async (client) => {
        const ask = async (size: number) => (await client.getRecord({ ref: { tenant: "t", session: String(size) } })).record?.title.length;
        for (const size of [0, 70_000, 5 << 20]) assert.equal(await ask(size), size);
        // With a stream of its own it breaks the connection.
        if (how === "carried") await assert.rejects(ask(65 << 20), { code: Code.ResourceExhausted });
        assert.equal(await ask(3), 3, "the next one goes on");
      });
    });

    it("tells how much time is left, and ends when it is over, also where nobody cancels it", async () => {
      const left: unknown[] = [];
      const log: Log = {
        getRecord: (_, { timeoutMs }) => (left.push(timeoutMs()), {}),
        append: (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
      };
      await calling(log, async (client) => {
        await client.getRecord({ ref });
        await client.getRecord({ ref }, { timeoutMs: 5_000 });
        await client.getRecord({ ref }, { timeoutMs: how === "carried" ? 4_000.3 : 4_000 });
        await client.getRecord({ ref }, { timeoutMs: 0 });
        assert.deepEqual([left[0], left[3]], [undefined, undefined]);
        for (const ms of [left[1], left[2]]) assert.ok(Number.isInteger(ms) && Number(ms) > 0 && Number(ms) <= 5_000, String(ms));
        await assert.rejects(client.append({ ref }, { timeoutMs: 30 }), { code: Code.DeadlineExceeded });
      });
    });

    it("fails with the error that was thrown, by itself", async () => {
      const log: Log = {
        append: () => Promise.reject(new GuildError("sequence_moved", "it has moved", { subject: "s" })),
        getRecord: () => {
          throw new TypeError("a fault of ours");
        },
        acquireLease: () => new Promise((resolve) => setTimeout(resolve, 20, {})),
      };
      await calling(log, async (client) => {
        const other = client.acquireLease({ ref });
        const failed = async (call: Promise<unknown>) => {
          const error = await call.then(() => assert.fail("it was answered"), (thrown: unknown) => thrown); // prettier-ignore
          return GuildError.from(fromStatus(error, "peer"));
        };
        assert.deepEqual(await failed(client.append({ ref })).then(({ code, subject }) => [code, subject]), ["sequence_moved", "s"]);
        assert.equal((await failed(client.getRecord({ ref }))).code, "internal");
        await other;
      });
    });

    it("is not made without the token", async () => {
      let made = 0;
      const log: Log = { getRecord: () => (made++, {}) };
      await reached(
        log,
        (peer) => assert.rejects(createClient(LogService, peer[how]).getRecord({ ref }), { code: Code.Unauthenticated }),
        "another",
        "the-token",
      );
      assert.equal(made, 0);
    });
  });
}

describe("a stream of calls", () => {
  /** Speaks the protocol itself. */
  const raw = (peer: { plain: Transport }) => {
    const sent = createOutbox<{ frames: Frame[] }>();
    sent.push({ frames: [] });
    const answers = createClient(CarrierService, peer.plain).carry(sent.items())[Symbol.asyncIterator]();
    const unread: CallFrame[] = [];
    return {
      send: (...frames: Frame[]) => sent.push({ frames }),
      end: () => sent.end(),
      async next() {
        while (unread.length === 0) {
          const { done, value } = await answers.next();
          if (done === true) return undefined;
          unread.push(...value.frames);
        }
        const { call, kind } = unread.shift() ?? assert.fail();
        return { call, case: kind.case, code: kind.case === "end" ? kind.value.code : 0 };
      },
    };
  };
  const begin = (call: number, method: string, given = {}): Frame => ({
    call,
    kind: { case: "begin", value: { method: `${LogService.typeName}/${method}`, window: 16, ...given } },
  });

  it("answers in words what it cannot make anything of, and goes on", async () => {
    await reached({ getRecord: () => ({}) }, async (peer) => {
      const line = raw(peer);
      line.send(begin(1, "Nonsense"), begin(2, "GetRecord", { request: new Uint8Array([0xff, 0xff]) }));
      assert.deepEqual(await line.next(), { call: 1, case: "end", code: Code.Unimplemented });
      assert.deepEqual(await line.next(), { call: 2, case: "end", code: Code.InvalidArgument });
      line.send({ call: 77, kind: { case: "cancel", value: {} } }, { call: 78, kind: { case: "taken", value: 9 } }, { call: 5 });
      line.send(begin(3, "GetRecord"));
      assert.deepEqual(await line.next(), { call: 3, case: "last", code: 0 });
      line.end();
      assert.equal(await line.next(), undefined);
    });
  });

  it("ends where two calls have one number, and with it what runs on it", async () => {
    const over = Promise.withResolvers<void>();
    const log: Log = { append: (_, { signal }) => new Promise(() => signal.addEventListener("abort", () => over.resolve())) };
    await reached(log, async (peer) => {
      const line = raw(peer);
      line.send(begin(1, "Append"), begin(1, "Append"));
      assert.equal(await line.next(), undefined);
      await over.promise;
    });
  });

  it("ends a call at its deadline though its caller is silent", async () => {
    const log: Log = {
      append: (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
    };
    await reached(log, async (peer) => {
      const line = raw(peer);
      line.send(begin(1, "Append", { timeoutMs: 20 }));
      assert.deepEqual(await line.next(), { call: 1, case: "end", code: Code.DeadlineExceeded });
      line.end();
    });
  });

  it("makes an operation that comes twice once", async () => {
    let made = 0;
    await reached({ append: () => ({ events: [{ seq: ++made }] }) }, async (peer) => {
      for (let time = 0; time < 2; time++) {
        const line = raw(peer);
        line.send(begin(1, "Append", { operation: "one" }));
        assert.deepEqual(await line.next(), { call: 1, case: "last", code: 0 });
        line.end();
      }
      assert.equal(made, 1);
      const client = createClient(LogService, peer.carried);
      for (const seq of [2, 3]) assert.equal((await client.append({ ref })).events[0]?.seq, seq);
    });
  });

  it("answers a small call while a large answer is on its way", async () => {
    const log: Log = { getRecord: ({ ref: of }) => ({ record: { title: "x".repeat(Number(of?.session)) } }) };
    await reached(log, async ({ carried }) => {
      const client = createClient(LogService, carried);
      const order: string[] = [];
      const large = client.getRecord({ ref: { tenant: "t", session: String(8 << 20) } }).then(() => order.push("large"));
      const small = client.getRecord({ ref: { tenant: "t", session: "1" } }).then(() => order.push("small"));
      await Promise.all([large, small]);
      assert.deepEqual(order, ["small", "large"]);
    });
  });

  it("is for those with a certificate, where there are any", () => {
    const asked: string[] = [];
    const guard = requireCertificate(
      () => assert.fail("it has none"),
      ({ url }) => asked.push(url ?? ""),
      "/guildhall.internal.v1.EnrolmentService/",
    );
    const said = new Map<string, string>();
    const response = { setHeader: (name: string, value: string) => said.set(name, value), end: () => undefined };
    const socket = { authorized: false, getPeerCertificate: () => ({}) };
    const ask = (url: string) => guard({ socket, url } as never, response as never);
    ask(`/${CarrierService.typeName}/Carry`);
    assert.equal(said.get("grpc-status"), String(Code.Unauthenticated));
    ask("/guildhall.v1.SystemService/GetInfo");
    assert.deepEqual(asked, ["/guildhall.v1.SystemService/GetInfo"]);
  });

  it("is not needed: a server that knows none is asked call by call, and again only after a while", async () => {
    const seen: string[] = [];
    const old = connectNodeAdapter({
      routes: (router) =>
        void router.service(LogService, {
          append: () => ({ events: [{ seq: 7 }] }),
          async *watch() {
            yield { events: [{ seq: 8 }] };
          },
        }),
    });
    const server = http2.createServer((request, response) => {
      seen.push(request.url.split("/").at(-1) ?? "");
      old(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const peer = openPeer(`127.0.0.1:${(server.address() as net.AddressInfo).port}`);
    const client = createClient(LogService, peer.carried);
    assert.equal((await client.append({ ref })).events[0]?.seq, 7);
    for await (const { events } of client.watch({ ref })) assert.equal(events[0]?.seq, 8);
    assert.equal((await client.append({ ref })).events[0]?.seq, 7);
    assert.deepEqual(seen, ["Carry", "Append", "Watch", "Append"]);
    await assert.rejects(client.getRecord({ ref }), (error) => ConnectError.from(error).code === Code.Unimplemented);
    peer.close();
    await new Promise((resolve) => server.close(resolve));
  });
});

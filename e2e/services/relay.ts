import { setTimeout as sleep } from "node:timers/promises";

import type { DescMessage, DescMethodStreaming, DescMethodUnary, DescService, MessageShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import * as protocol from "@guildhall/protocol";
import * as internal from "@guildhall/protocol/internal";

import { createLog } from "../../packages/server/src/daemon/log.ts";
import { createServiceHandler } from "../../packages/server/src/rpc/handler.ts";
import { listenOnTcp } from "../../packages/server/src/rpc/listen.ts";

type Message = MessageShape<DescMessage>;

/** What was done to messages so far. */
export interface Disturbance {
  twice: number;
  swapped: number;
}

/**
 * Stands between workers and an orchestrator, and speaks what they speak: sends messages of the pool twice and out of order, and calls that have
 * a name twice, side by side, each as late as chance will.
 */
export async function startRelay(
  address: string,
  token: string,
  chance: () => number,
): Promise<{ port: number; done: Disturbance; close(): Promise<void> }> {
  const done: Disturbance = { twice: 0, swapped: 0 };
  const transport = createGrpcTransport({
    baseUrl: `http://${address}`,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  const unary = (method: DescMethodUnary) => async (request: Message, context: HandlerContext) => {
    const name = context.requestHeader.get("guildhall-operation");
    const header = name === null ? {} : { "guildhall-operation": name };
    const call = async (): Promise<Message> => {
      await sleep(chance() * 30);
      return (await transport.unary(method, context.signal, context.timeoutMs(), header, request)).message;
    };
    if (name === null) return await call();
    done.twice++;
    const [first, second] = await Promise.all([call(), call()]);
    return chance() < 0.5 ? first : second;
  };
  const streaming = (method: DescMethodStreaming) =>
    async function* (requests: AsyncIterable<Message>, context: HandlerContext): AsyncIterable<Message> {
      const joins = method.parent.typeName === internal.WorkerService.typeName;
      const sent = joins ? disturbed(requests, chance, done) : requests;
      const { message } = await transport.stream(method, context.signal, context.timeoutMs(), undefined, sent);
      yield* joins ? disturbed(message, chance, done) : message;
    };
  const routes = (router: ConnectRouter): void => {
    const every: unknown[] = [...Object.values(protocol), ...Object.values(internal)];
    for (const service of every.filter(isService)) {
      const methods = service.methods.map((method) => {
        if (method.methodKind === "unary") return [method.localName, unary(method as DescMethodUnary)];
        const stream = streaming(method as DescMethodStreaming);
        if (method.methodKind === "bidi_streaming") return [method.localName, stream];
        if (method.methodKind === "server_streaming")
          return [method.localName, (request: Message, context: HandlerContext) => stream(only(request), context)];
        return [
          method.localName,
          async (requests: AsyncIterable<Message>, context: HandlerContext) => {
            for await (const message of stream(requests, context)) return message;
            return {};
          },
        ];
      });
      router.service(service, Object.fromEntries(methods) as ServiceImpl<DescService>);
    }
  };
  const { handler } = createServiceHandler({ log: createLog(() => undefined), routes });
  const listener = await listenOnTcp({ host: "127.0.0.1", port: 0 }, { handler, connected: () => () => undefined });
  return { port: Number(new URL(listener.address).port), done, close: () => listener.close() };
}

/** Some twice, some after the one that follows them; the first, which says who speaks, once. */
async function* disturbed(messages: AsyncIterable<Message>, chance: () => number, done: Disturbance): AsyncIterable<Message> {
  let first = true;
  let held: Message | undefined;
  for await (const message of messages) {
    if (first || held !== undefined || chance() < 0.5) {
      yield message;
      if (!first && chance() < 0.5) {
        done.twice++;
        yield message;
      }
      if (held !== undefined) {
        done.swapped++;
        yield held;
      }
      held = undefined;
      first = false;
    } else held = message;
  }
  if (held !== undefined) yield held;
}

async function* only(request: Message): AsyncIterable<Message> {
  yield request;
}

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

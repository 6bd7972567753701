import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  type MessageShape,
} from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";

import { fromStatus } from "../rpc/from-status.ts";
import type { Peer } from "../rpc/peer.ts";

/**
 * Serves `service` by handing every call on: messages, deadline and cancellation go along, statuses come back with their details; so does what
 * the caller prefers (how long it would wait). Its credentials do not: the transport shows its own. What keeps us from `onward` is said as such.
 */
export function forwardService(router: ConnectRouter, service: DescService, onward: Onward): void {
  const methods = service.methods.map((method) => {
    if (method.methodKind === "unary") {
      const unary = method as DescMethodUnary;
      return [method.localName, (request: MessageShape<DescMessage>, context: HandlerContext) => once(onward, unary, request, context)];
    }
    const streaming = method as DescMethodStreaming;
    if (method.methodKind === "client_streaming") {
      return [
        method.localName,
        async (requests: AsyncIterable<MessageShape<DescMessage>>, context: HandlerContext) => {
          for await (const message of many(onward, streaming, requests, context)) return message;
          return {};
        },
      ];
    }
    if (method.methodKind === "server_streaming") {
      return [
        method.localName,
        (request: MessageShape<DescMessage>, context: HandlerContext) => many(onward, streaming, only(request), context),
      ];
    }
    return [
      method.localName,
      (requests: AsyncIterable<MessageShape<DescMessage>>, context: HandlerContext) => many(onward, streaming, requests, context),
    ];
  });
  router.service(service, Object.fromEntries(methods) as ServiceImpl<DescService>);
}

/** Where calls are handed on to. */
export type Onward = Pick<Peer, "transport" | "address">;

/** Statuses that the line to the other side has when it is broken: those of its handlers have a detail, and go on as they are. */
const ofTheLine: ReadonlySet<Code> = new Set([Code.Unavailable, Code.Internal, Code.Unknown, Code.Unauthenticated, Code.Unimplemented]);

function said(error: unknown, address: string): unknown {
  return error instanceof ConnectError && error.details.length === 0 && ofTheLine.has(error.code) ? fromStatus(error, address) : error;
}

async function once({ transport, address }: Onward, method: DescMethodUnary, request: MessageShape<DescMessage>, context: HandlerContext) {
  const prefer = context.requestHeader.get("prefer");
  const header = prefer === null ? undefined : { prefer };
  try {
    return (await transport.unary(method, context.signal, context.timeoutMs(), header, request)).message;
  } catch (error) {
    throw said(error, address);
  }
}

async function* many(
  { transport, address }: Onward,
  method: DescMethodStreaming,
  requests: AsyncIterable<MessageShape<DescMessage>>,
  context: HandlerContext,
): AsyncIterable<MessageShape<DescMessage>> {
  try {
    const asked = speaksBinary(context) ? unread(method) : method;
    const { message } = await transport.stream(asked, context.signal, context.timeoutMs(), undefined, requests);
    if (asked === method) yield* message;
    else for await (const { $unknown: fields } of message) yield Object.assign(create(method.output), { $unknown: fields });
  } catch (error) {
    throw said(error, address);
  }
}

/** Whether messages go out as they came in, so that nobody here has to understand them. */
function speaksBinary({ requestHeader }: HandlerContext): boolean {
  return /^application\/(?:grpc|grpc-web|connect)(?:\+proto)?$/.test(requestHeader.get("content-type") ?? "");
}

/** The method as one that answers with nothing that we know: what came stays as its bytes. */
function unread(method: DescMethodStreaming): DescMethodStreaming {
  return { ...method, output: EmptySchema };
}

async function* only<T>(message: T): AsyncIterable<T> {
  yield message;
}

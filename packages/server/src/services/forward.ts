import type { DescMessage, DescMethodStreaming, DescMethodUnary, DescService, MessageShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, ServiceImpl, Transport } from "@connectrpc/connect";

/**
 * Serves `service` by handing every call on: messages, deadline and cancellation go along, statuses come back with their details; so does what
 * the caller prefers (how long it would wait). Its credentials do not: the transport shows its own.
 */
export function forwardService(router: ConnectRouter, service: DescService, transport: Transport): void {
  const methods = service.methods.map((method) => {
    if (method.methodKind === "unary") {
      const unary = method as DescMethodUnary;
      return [method.localName, (request: MessageShape<DescMessage>, context: HandlerContext) => once(transport, unary, request, context)];
    }
    const streaming = method as DescMethodStreaming;
    if (method.methodKind === "client_streaming") {
      return [
        method.localName,
        async (requests: AsyncIterable<MessageShape<DescMessage>>, context: HandlerContext) => {
          for await (const message of many(transport, streaming, requests, context)) return message;
          return {};
        },
      ];
    }
    if (method.methodKind === "server_streaming") {
      return [
        method.localName,
        (request: MessageShape<DescMessage>, context: HandlerContext) => many(transport, streaming, only(request), context),
      ];
    }
    return [
      method.localName,
      (requests: AsyncIterable<MessageShape<DescMessage>>, context: HandlerContext) => many(transport, streaming, requests, context),
    ];
  });
  router.service(service, Object.fromEntries(methods) as ServiceImpl<DescService>);
}

async function once(transport: Transport, method: DescMethodUnary, request: MessageShape<DescMessage>, context: HandlerContext) {
  const prefer = context.requestHeader.get("prefer");
  const header = prefer === null ? undefined : { prefer };
  return (await transport.unary(method, context.signal, context.timeoutMs(), header, request)).message;
}

async function* many(
  transport: Transport,
  method: DescMethodStreaming,
  requests: AsyncIterable<MessageShape<DescMessage>>,
  context: HandlerContext,
): AsyncIterable<MessageShape<DescMessage>> {
  yield* (await transport.stream(method, context.signal, context.timeoutMs(), undefined, requests)).message;
}

async function* only<T>(message: T): AsyncIterable<T> {
  yield message;
}

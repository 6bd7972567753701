import type http2 from "node:http2";
import type { Duplex } from "node:stream";

import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Http2SessionManager } from "@connectrpc/connect-node";
import {
  type CarryRequest,
  CarrierService,
  CarryRequestSchema,
  type CarryResponse,
  CarryResponseSchema,
} from "@guildhall/protocol/internal";

import type { RequestHandler } from "../rpc/listen.ts";
import { nameOf } from "./carried-methods.ts";
import { LARGEST_MESSAGE } from "./window.ts";

/*
 * The carrier's stream as gRPC over HTTP/2 says (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), without what Connect puts
 * between a message and its bytes: a dozen asynchronous generators on either side, which cost more than all else that a small message costs.
 * What is on the wire is the same: either end may be Connect's.
 */

type Requests = AsyncIterable<MessageInitShape<typeof CarryRequestSchema>>;

/** How a carrier's stream is opened: messages out, messages in. */
export type Carry = (requests: Requests) => AsyncIterable<CarryResponse>;

const PATH = `/${nameOf(CarrierService.method.carry)}`;
const GRPC = "application/grpc+proto";

/** Opens streams on a connection of `sessions`. Their messages end with an error that says why no more come. */
export function rawCarry(sessions: Http2SessionManager, headers: http2.OutgoingHttpHeaders): Carry {
  return async function* (requests) {
    const stream = await sessions.request("POST", PATH, { ...headers, "content-type": GRPC, te: "trailers" }, {});
    let head: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
    // Whoever reads hears why the stream is gone.
    stream.once("response", (received) => void (head = received)).on("error", () => undefined);
    sendAll(stream, CarryRequestSchema, requests).catch(() => stream.destroy());
    try {
      for await (const message of messagesOf(stream, CarryResponseSchema, () => refusal(head))) {
        sessions.notifyResponseByteRead(stream);
        yield message;
      }
    } finally {
      stream.destroy();
    }
    throw refusal(head) ?? new ConnectError("the stream has ended", Code.Unavailable);
  };
}

/** Whoever stands before a service answers in plain HTTP, or with a status and nothing else. */
function refusal({ ":status": status, "grpc-status": code }: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader) {
  if (status === 200 && code === undefined) return undefined;
  const away = status === undefined || [429, 502, 503, 504].includes(status);
  return new ConnectError(
    `HTTP ${status}, gRPC ${String(code)}`,
    code === undefined ? (away ? Code.Unavailable : Code.Unimplemented) : Number(code),
  );
}

/** Answers carriers' streams with `carry`, and has `next` answer everything else. */
export function rawCarrier(
  carry: (requests: AsyncIterable<CarryRequest>) => AsyncIterable<MessageInitShape<typeof CarryResponseSchema>>,
  next: RequestHandler,
): RequestHandler {
  return (request, response) => {
    const { "content-type": type, "grpc-encoding": encoding } = request.headers;
    const ours = request.url === PATH && (type === GRPC || type === "application/grpc") && encoding === undefined;
    if (!ours || !("stream" in request) || !("stream" in response)) return next(request, response);
    const { stream } = request;
    response.writeHead(200, { "content-type": GRPC });
    response.addTrailers({ "grpc-status": "0" });
    // Who reads here hears of a broken stream, and that is all there is to do.
    stream.on("error", () => undefined);
    sendAll(stream, CarryResponseSchema, carry(messagesOf(stream, CarryRequestSchema))).catch(() => stream.destroy());
  };
}

/** One after the other, each when the one before has left. */
async function sendAll<S extends DescMessage>(stream: Duplex, schema: S, messages: AsyncIterable<MessageInitShape<S>>): Promise<void> {
  for await (const message of messages) {
    const bytes = toBinary(schema, create(schema, message));
    const envelope = Buffer.allocUnsafe(HEAD + bytes.length);
    envelope[0] = 0;
    envelope.writeUInt32BE(bytes.length, 1);
    envelope.set(bytes, HEAD);
    const failed = await new Promise<Error | null | undefined>((resolve) => stream.write(envelope, resolve));
    if (failed) throw failed;
  }
  stream.end();
}

/** Whether it is compressed (never), and how long it is. */
const HEAD = 5;

async function* messagesOf<S extends DescMessage>(
  stream: Duplex,
  schema: S,
  refused: () => Error | undefined = () => undefined,
): AsyncGenerator<MessageShape<S>> {
  let held: Buffer[] = [];
  let size = 0;
  let wanted = HEAD;
  // Who has nothing more to read may have something to say.
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (held.length === 0 && refused() !== undefined) return;
    held.push(chunk);
    size += chunk.length;
    if (size < wanted) continue;
    let bytes = held.length === 1 ? chunk : Buffer.concat(held, size);
    for (wanted = HEAD; bytes.length >= wanted;) {
      wanted = HEAD + bytes.readUInt32BE(1);
      if (bytes[0] !== 0 || wanted > LARGEST_MESSAGE) throw new ConnectError("no message of a carrier", Code.InvalidArgument);
      if (bytes.length < wanted) break;
      // What becomes of its parts is no business of Node's buffers.
      yield fromBinary(schema, new Uint8Array(bytes.buffer, bytes.byteOffset + HEAD, wanted - HEAD));
      bytes = bytes.subarray(wanted);
      wanted = HEAD;
    }
    held = bytes.length === 0 ? [] : [bytes];
    size = bytes.length;
  }
}

import http from "node:http";
import https from "node:https";

import type { FetchFunction } from "@ai-sdk/provider-utils";

/** Bounds of one exchange with a model service. */
export interface TransportLimits {
  /** Until the first byte of the answer; a local server may have to load its model and read a long prompt first. Milliseconds. */
  firstByteMs: number;
  /** Between two pieces of the answer, milliseconds. */
  idleMs: number;
  /** Bytes of one answer, as they come over the wire. */
  replyBytes: number;
}

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = { firstByteMs: 600_000, idleMs: 120_000, replyBytes: 16 * 1024 * 1024 };

export type TransportFault = "first_byte" | "idle" | "too_large" | "cut" | "connection" | "not_a_stream";

/** What went wrong between us and the service, below the level of its own errors. It is the cause of whatever the provider package makes of it. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly fault: TransportFault;
  /** System error code: `ECONNREFUSED`, … */
  readonly code: string | undefined;
  /** Beginning of the body, for an answer that is no stream. */
  readonly body: string | undefined;

  constructor(fault: TransportFault, message: string, options: { cause?: unknown; code?: string | undefined; body?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.fault = fault;
    this.code = options.code;
    this.body = options.body;
  }
}

export interface TransportOptions {
  limits: TransportLimits;
  /** `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, where a proxy is to be used. */
  proxy?: Record<string, string | undefined>;
}

/**
 * A `fetch` for POSTs with a text body, on Node's own client: kept connections, a bound on the bytes, and waits that are ours to choose
 * (the built-in fetch gives up after five minutes, about as long as a local server may need to load its model). Nothing is followed or retried, but
 * a kept connection that the service closed in the same moment.
 */
export function createTransport(options: TransportOptions): FetchFunction {
  const settings: http.AgentOptions = { keepAlive: true, ...(options.proxy === undefined ? {} : { proxyEnv: options.proxy }) };
  const agents = { "http:": new http.Agent(settings), "https:": new https.Agent(settings) };
  const send = (url: URL, init: RequestInit, fresh: boolean): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { limits } = options;
      const signal = init.signal ?? undefined;
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const body = init.body as string;
      const secure = url.protocol === "https:";
      const request = (secure ? https : http).request(url, {
        method: "POST",
        // A fresh connection has to be asked for: the agent would hand out the next kept one, perhaps just as dead.
        agent: fresh ? false : secure ? agents["https:"] : agents["http:"],
        headers: { ...(init.headers as Record<string, string>), "accept-encoding": "identity", "content-length": Buffer.byteLength(body) },
      });
      const give = (error: Error): void => {
        request.destroy(error);
      };
      const abort = (): void => give(signal?.reason as Error);
      signal?.addEventListener("abort", abort, { once: true });
      const timer = setTimeout(
        () => give(new TransportError("first_byte", `no answer within ${limits.firstByteMs / 1000} s`)),
        limits.firstByteMs,
      );
      const over = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      request.on("error", (error: NodeJS.ErrnoException) => {
        over();
        if (signal?.aborted === true) reject(signal.reason as Error);
        else if (error instanceof TransportError) reject(error);
        else if (!fresh && request.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE"))
          send(url, init, true).then(resolve, reject);
        else
          reject(
            new TransportError("connection", error.message === "" ? (error.code ?? "the connection failed") : error.message, {
              cause: error,
              code: error.code,
            }),
          );
      });
      request.on("response", (message) => {
        clearTimeout(timer);
        const response = responseOf(message, limits, signal, over);
        const type = message.headers["content-type"] ?? "";
        if (response.ok && /^(text\/html|application\/json)/i.test(type)) refuse(response, type).catch(reject);
        else resolve(response);
      });
      request.end(body);
    });
  return async (input, init = {}) => send(new URL(input instanceof Request ? input.url : input), init, false);
}

/** A service that answers a request for a stream with a page or one JSON value: its beginning says why. */
async function refuse(response: Response, type: string): Promise<never> {
  const body = (await response.text()).slice(0, 16_384);
  throw new TransportError("not_a_stream", `the answer is ${type.split(";", 1)[0]}, not a stream of events`, { body });
}

function responseOf(message: http.IncomingMessage, limits: TransportLimits, signal: AbortSignal | undefined, over: () => void): Response {
  const status = message.statusCode ?? 0;
  let left = limits.replyBytes;
  let fault: Error | undefined;
  const stop = (error: Error): void => {
    fault ??= error;
    message.destroy(error);
  };
  const timer = setTimeout(() => stop(new TransportError("idle", `nothing came for ${limits.idleMs / 1000} s`)), limits.idleMs);
  const end = (): void => {
    clearTimeout(timer);
    over();
  };
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      message.on("data", (chunk: Buffer) => {
        timer.refresh();
        left -= chunk.length;
        if (left < 0) {
          stop(new TransportError("too_large", `the reply is larger than ${limits.replyBytes} bytes`));
          return;
        }
        controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
        if ((controller.desiredSize ?? 1) <= 0) message.pause();
      });
      message.on("end", () => {
        end();
        controller.close();
      });
      message.on("error", (error: NodeJS.ErrnoException) => {
        end();
        controller.error(
          signal?.aborted === true
            ? signal.reason
            : (fault ?? new TransportError("cut", "the connection ended in the middle of the reply", { cause: error, code: error.code })),
        );
      });
    },
    pull() {
      message.resume();
    },
    cancel() {
      end();
      message.destroy();
    },
  });
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  // The Response class takes no informational status and no body with some others; a service that sends such a one is answered as a bad gateway.
  const bodiless = status < 200 || status === 204 || status === 205 || status === 304;
  if (bodiless) message.resume();
  return new Response(bodiless ? null : stream, { status: status < 200 ? 502 : status, headers });
}

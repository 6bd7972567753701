import { once } from "node:events";
import { Agent as PlainAgent, type ClientRequest, request as plainRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent as SecureAgent, request as secureRequest } from "node:https";
import { Transform, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";

import { createMasker, GuildError, type Masker } from "@guildhall/core";

import type { TrafficMeter } from "./meter.ts";
import type { OutgoingRequest } from "./rules.ts";

/** Where an admitted request goes. */
export interface Upstream {
  /** Pinned address. */
  host: string;
  port: number;
  request: OutgoingRequest & {
    /** Normalised path and query, as sent on. */
    target: string;
  };
  /** Headers whose placeholders were replaced by secrets. */
  replaced: Record<string, string | string[]>;
  /** Values of those secrets: a server that echoes them is not passed on with them. */
  hidden: readonly string[];
  ca: string | undefined;
  /** How long its name took to resolve, milliseconds. */
  resolvedMs: number;
}

interface Agents {
  plain: PlainAgent;
  secure: SecureAgent;
}

/** Kept-alive connections of one proxy, by its meter; keyed by address and TLS name, so a pinned address is never mixed up. */
const pools = new WeakMap<TrafficMeter, Agents>();

/** Sends the request on and its answer back, counting bytes. Resolves when the exchange is over; frees the place that `admit` took. */
export async function forward(message: IncomingMessage, response: ServerResponse, upstream: Upstream, meter: TrafficMeter): Promise<void> {
  try {
    await exchange(message, response, upstream, meter);
  } finally {
    meter.done();
  }
}

export function closeUpstreams(meter: TrafficMeter): void {
  const agents = pools.get(meter);
  agents?.plain.destroy();
  agents?.secure.destroy();
}

async function exchange(message: IncomingMessage, response: ServerResponse, upstream: Upstream, meter: TrafficMeter): Promise<void> {
  const { request } = upstream;
  const agents = agentsOf(meter);
  const masker =
    upstream.hidden.length === 0
      ? undefined
      : createMasker(upstream.hidden.flatMap((value) => [value, Buffer.from(value).toString("latin1")]));
  const { [TIMING_HEADER]: wantsTiming, ...asked } = endToEnd(message.headers);
  const headers: Record<string, string | string[]> = {
    ...asked,
    ...upstream.replaced,
    // What is compressed cannot be looked through.
    ...(masker === undefined ? {} : { "accept-encoding": "identity" }),
  };
  const common = {
    host: upstream.host,
    port: upstream.port,
    method: request.method,
    path: request.target,
    headers,
    setHost: false,
    timeout: meter.limits.idleMs,
  };
  const outgoing = request.secure
    ? secureRequest({
        ...common,
        agent: agents.secure,
        servername: request.host,
        ...(upstream.ca === undefined ? {} : { ca: upstream.ca }),
      })
    : plainRequest({ ...common, agent: agents.plain });
  outgoing.on("timeout", () => outgoing.destroy(new Error(`${request.host} has sent nothing for ${meter.limits.idleMs / 1000} s`)));
  response.on("close", () => outgoing.destroy());
  const timing = wantsTiming === undefined ? undefined : measure(outgoing, upstream);
  const answered = once(outgoing, "response");
  const sent = pipeline(message, counter(meter), outgoing);
  // A server may answer, or fail, before it has read the whole request: the answer decides.
  sent.catch(() => undefined);
  const [answer] = (await answered) as [IncomingMessage];
  delete answer.headers[TIMING_HEADER];
  if (timing !== undefined) answer.headers[TIMING_HEADER] = timing();
  if (masker === undefined) {
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
    await pipeline(answer, counter(meter), response);
    return;
  }
  const encoding = answer.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    answer.destroy();
    throw new GuildError("unsupported", `${request.host} answers compressed to a request with a secret, though asked not to`);
  }
  response.writeHead(answer.statusCode ?? 502, maskedHeaders(endToEnd(answer.headers), masker, request.method));
  await pipeline(answer, counter(meter), hide(masker), response);
}

/** Masking changes lengths, so that the length goes; but an answer without a body keeps it. */
function maskedHeaders(headers: Record<string, string | string[]>, masker: Masker, method: string): Record<string, string | string[]> {
  const masked: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name === "content-length" && method !== "HEAD" && value !== "0") continue;
    masked[name] = typeof value === "string" ? masker.mask(value) : value.map((line) => masker.mask(line));
  }
  return masked;
}

/** Bytes go through as Latin-1, one character each, so that nothing but a secret changes. */
function hide(masker: Masker): Transform {
  const stream = masker.stream();
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      done(null, Buffer.from(stream.push(chunk.toString("latin1")), "latin1"));
    },
    flush(done: TransformCallback) {
      done(null, Buffer.from(stream.end(), "latin1"));
    },
  });
}

function agentsOf(meter: TrafficMeter): Agents {
  let agents = pools.get(meter);
  if (agents === undefined) {
    agents = { plain: new PlainAgent({ keepAlive: true }), secure: new SecureAgent({ keepAlive: true, ALPNProtocols: ["http/1.1"] }) };
    pools.set(meter, agents);
  }
  return agents;
}

function counter(meter: TrafficMeter): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done: TransformCallback) {
      if (meter.count(chunk.length)) done(null, chunk);
      else done(new Error("the session's network volume is used up"));
    },
  });
}

/** Whoever asks with it is told how long the parts of the way took, in milliseconds. Neither goes to the server nor comes from it. */
const TIMING_HEADER = "guildhall-timing";

function measure(outgoing: ClientRequest, { host, resolvedMs }: Upstream): () => string {
  const began = performance.now();
  const at: Record<string, number> = { dns: resolvedMs };
  const since = (from: number): number => performance.now() - from;
  outgoing.once("socket", (socket) => {
    if (!socket.connecting) return; // kept alive from an earlier request
    socket.once("connect", () => {
      const connected = performance.now();
      at["connect"] = connected - began;
      socket.once("secureConnect", () => (at["tls"] = since(connected)));
    });
  });
  return () => {
    const parts = Object.entries({ ...at, first_byte: since(began) }).map(([name, ms]) => `${name}=${ms.toFixed(1)}`);
    return `${parts.join(" ")} address=${host}`;
  };
}

const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Headers without those of a single connection, nor those that `Connection` names. */
function endToEnd(headers: IncomingMessage["headers"]): Record<string, string | string[]> {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !HOP_BY_HOP.has(name) && !named.has(name)) kept[name] = value;
  return kept;
}

import { once } from "node:events";
import { type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";

import { GuildError, type Sandbox } from "@guildhall/core";

import { isLoopback, policyRemedy } from "./address.ts";
import { openSandboxStream } from "./sandbox-stream.ts";

export interface OutgoingRequest {
  url: URL;
  method: string;
  headers: Record<string, string>;
  body?: Uint8Array;
}

/** How long each part of an exchange took, milliseconds; parts that did not take place are left out. */
export interface Timing {
  dns?: number;
  connect?: number;
  tls?: number;
  /** From the beginning to the first byte of the answer. */
  first_byte?: number;
  total?: number;
  /** Where the proxy, or the sandbox itself, connected to. */
  address?: string;
}

export interface Answer {
  status: number;
  statusText: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** As it came, still encoded. */
  body: AsyncIterable<Uint8Array>;
  timing: Timing;
  close(): void;
}

const OUR_HEADER = "guildhall-timing";

/**
 * One HTTP exchange, made as a process of the sandbox would make it: through the sandbox's own way out and so under the network policy, or
 * to the sandbox's own loopback. Nothing connects from the host. Throws `permission_denied` with the policy line that would allow it,
 * `unavailable` when there is no answer, `cancelled`.
 */
export async function exchange(sandbox: Sandbox, request: OutgoingRequest, signal: AbortSignal): Promise<Answer> {
  const { url } = request;
  const began = performance.now();
  if (isLoopback(url)) return await direct(sandbox, request, signal, began);
  const { wayOut } = sandbox;
  if (wayOut === undefined) throw closed(sandbox, url);
  const stream = await openSandboxStream(sandbox, wayOut.port);
  try {
    const timing = { [OUR_HEADER]: "1" };
    if (url.protocol === "http:") {
      const answer = await send(stream, { ...request, headers: { ...request.headers, ...timing } }, url.href, signal, began);
      await throwRefusal(answer, url);
      return answer;
    }
    const tunnel = await openTunnel(stream, url, signal);
    const ca = Buffer.from(await sandbox.files.read(wayOut.authority));
    const secure = connectTls({ socket: tunnel, servername: url.hostname, ca });
    await settled(once(secure, "secureConnect"), signal, url);
    const answer = await send(secure, { ...request, headers: { ...request.headers, ...timing } }, url.pathname + url.search, signal, began);
    await throwRefusal(answer, url);
    return answer;
  } catch (error) {
    stream.destroy();
    throw signal.aborted || GuildError.is(error) ? error : noAnswer(url, error);
  }
}

/** What runs in the sandbox itself: a development server, for example. */
async function direct(sandbox: Sandbox, request: OutgoingRequest, signal: AbortSignal, began: number): Promise<Answer> {
  const { url } = request;
  const port = Number(url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port);
  let stream: Duplex;
  try {
    stream = await openSandboxStream(sandbox, port);
  } catch (error) {
    throw new GuildError("unavailable", `nothing in the sandbox answers on port ${port}`, { subject: url.host, cause: error });
  }
  try {
    const connected = performance.now();
    if (url.protocol === "https:") {
      // A certificate that a development server has made for itself says nothing, and the way does not leave the sandbox.
      stream = connectTls({ socket: stream, servername: "localhost", rejectUnauthorized: false });
      await settled(once(stream, "secureConnect"), signal, url);
    }
    const secured = performance.now();
    const answer = await send(stream, request, url.pathname + url.search, signal, began);
    Object.assign(answer.timing, { connect: connected - began, ...(url.protocol === "https:" ? { tls: secured - connected } : {}) });
    answer.timing.address = `127.0.0.1:${port}`;
    return answer;
  } catch (error) {
    stream.destroy();
    throw signal.aborted || GuildError.is(error) ? error : noAnswer(url, error);
  }
}

async function openTunnel(stream: Duplex, url: URL, signal: AbortSignal): Promise<Duplex> {
  const authority = `${url.hostname}:${url.port === "" ? 443 : url.port}`;
  const connect = httpRequest({
    method: "CONNECT",
    path: authority,
    headers: { host: authority },
    createConnection: () => stream,
    setHost: false,
  });
  const answered = Promise.withResolvers<IncomingMessage>();
  connect.on("connect", (message: IncomingMessage) => answered.resolve(message));
  connect.on("response", (message: IncomingMessage) => answered.resolve(message));
  connect.on("error", (error) => answered.reject(error));
  connect.end();
  const message = await settled(answered.promise, signal, url);
  if (message.statusCode === 200) return stream;
  throw refusal(message.statusMessage ?? "", url);
}

async function send(stream: Duplex, request: OutgoingRequest, target: string, signal: AbortSignal, began: number): Promise<Answer> {
  const { method, headers, body, url } = request;
  const options: RequestOptions = {
    method,
    path: target,
    headers: { ...headers, host: url.host, connection: "close", ...(body === undefined ? {} : { "content-length": String(body.length) }) },
    createConnection: () => stream,
    setHost: false,
  };
  const outgoing = httpRequest(options);
  const answered = Promise.withResolvers<IncomingMessage>();
  outgoing.on("response", (message: IncomingMessage) => answered.resolve(message));
  // After the answer has come a failure shows in its body.
  outgoing.on("error", (error) => answered.reject(error));
  outgoing.end(body);
  const message = await settled(answered.promise, signal, url);
  const timing: Timing = { ...readTiming(message.headers[OUR_HEADER]), first_byte: performance.now() - began };
  delete message.headers[OUR_HEADER];
  return {
    status: message.statusCode ?? 0,
    statusText: message.statusMessage ?? "",
    headers: Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
    ),
    body: message,
    timing,
    close: () => stream.destroy(),
  };
}

/** What the proxy told of its part: `dns=1.2 connect=3.4 address=…`. */
function readTiming(header: string | string[] | undefined): Timing {
  const parts = (typeof header === "string" ? header : "").split(" ").map((part) => part.split("="));
  const timing: Timing = {};
  for (const [name, value = ""] of parts) {
    if (name === "address") timing.address = value;
    else if (name === "dns" || name === "connect" || name === "tls") timing[name] = Number(value);
  }
  return timing;
}

async function throwRefusal(answer: Answer, url: URL): Promise<void> {
  if (answer.status !== 403 || answer.timing.dns !== undefined) return;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  throw refusal(
    Buffer.concat(chunks)
      .toString()
      .replace(/^guildhall: /, "")
      .trim(),
    url,
  );
}

function refusal(reason: string, url: URL): GuildError {
  return new GuildError("permission_denied", reason.slice(0, 500) || "the network policy refuses it", {
    subject: url.host,
    ...policyRemedy(reason, url),
  });
}

function closed(sandbox: Sandbox, url: URL): GuildError {
  if (sandbox.provider === "host") {
    return new GuildError("failed_precondition", `${url.host} is not asked: without isolation there is no proxy that keeps a policy`, {
      remedy: "use a program of the shell, such as curl",
    });
  }
  const reason = `no rule allows ${url.hostname}: the network of this sandbox is closed`;
  return new GuildError("permission_denied", reason, policyRemedy(reason, url));
}

function noAnswer(url: URL, error: unknown): GuildError {
  const why = error instanceof Error ? error.message : String(error);
  return new GuildError("unavailable", `no answer from ${url.host}: ${why}`, { cause: error });
}

/** The promise, unless the signal aborts before. */
async function settled<T>(promise: Promise<T>, signal: AbortSignal, url: URL): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const stop = (): void =>
    stopped.reject(
      signal.reason instanceof GuildError ? signal.reason : new GuildError("deadline_exceeded", `no answer from ${url.host} in time`),
    );
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
    promise.catch(() => undefined); // lost the race: its failure is of no interest any more
    stopped.promise.catch(() => undefined); // the same
  }
}

import http from "node:http";
import https from "node:https";
import { Duplex, Readable, Transform } from "node:stream";
import { connect as connectTls } from "node:tls";
import { callbackify } from "node:util";

import { GuildError, type Sandbox } from "@guildhall/core";

import { sandboxVariables } from "./sandbox-variables.ts";

/** The part of `fetch` that programs of ours use, without following redirects. */
export type SessionFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** Bytes of one answer that has an end; a stream of events may be longer. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * A `fetch` that leaves through a sandbox's way out, so that the session's policy, limits, log and secrets hold for it. Throws `permission_denied`
 * where there is no way out. Without isolation (`host`) it is the daemon's own.
 */
export function createSessionFetch(sandbox: Sandbox): SessionFetch {
  if (sandbox.provider === "host") return (url, init) => fetch(url, { ...init, redirect: "manual" });
  let found: Promise<WayOut> | undefined;
  return async (url, init) => {
    found ??= findWayOut(sandbox);
    const wayOut = await found.catch((error: unknown) => {
      found = undefined;
      throw error;
    });
    return await send(sandbox, wayOut, new URL(url), init ?? {});
  };
}

interface WayOut {
  port: number;
  authority: Uint8Array;
}

async function findWayOut(sandbox: Sandbox): Promise<WayOut> {
  const { HTTP_PROXY: proxy = "", NODE_EXTRA_CA_CERTS: file = "" } = await sandboxVariables(sandbox, ["HTTP_PROXY", "NODE_EXTRA_CA_CERTS"]);
  const port = URL.canParse(proxy) ? Number(new URL(proxy).port) : 0;
  if (port === 0 || file === "") {
    throw new GuildError("permission_denied", "the policy opens no network for this session", {
      remedy: "allow the host in policy.toml: [[network.rules]]",
    });
  }
  return { port, authority: await sandbox.files.read(file) };
}

async function send(sandbox: Sandbox, wayOut: WayOut, url: URL, init: RequestInit): Promise<Response> {
  const { signal } = init;
  signal?.throwIfAborted();
  const secure = url.protocol === "https:";
  const plain = await dial(sandbox, wayOut.port);
  const socket = secure ? await tunnel(plain, url, wayOut.authority, signal ?? undefined) : plain;
  const headers = new Headers(init.headers);
  headers.set("accept-encoding", "identity");
  headers.set("connection", "close");
  const body = await bodyOf(init, headers);
  return await new Promise((resolve, reject) => {
    const request = (secure ? https : http).request({
      method: init.method ?? "GET",
      host: url.hostname,
      port: url.port,
      path: secure ? `${url.pathname}${url.search}` : url.href,
      headers: { ...Object.fromEntries(headers), host: url.host },
      createConnection: () => socket,
    });
    const stop = (): void => void request.destroy(GuildError.from(signal?.reason));
    signal?.addEventListener("abort", stop, { once: true });
    request.once("error", reject);
    request.once("close", () => signal?.removeEventListener("abort", stop));
    request.once("response", (message) => resolve(toResponse(message)));
    request.end(body);
  });
}

async function bodyOf(init: RequestInit, headers: Headers): Promise<Buffer | undefined> {
  if (init.body === undefined || init.body === null) return undefined;
  const given = new Response(init.body);
  const type = given.headers.get("content-type");
  if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
  const body = Buffer.from(await given.arrayBuffer());
  headers.set("content-length", String(body.length));
  return body;
}

function toResponse(message: http.IncomingMessage): Response {
  const status = message.statusCode ?? 502;
  const headers = new Headers();
  for (let index = 0; index + 1 < message.rawHeaders.length; index += 2) {
    headers.append(message.rawHeaders[index] ?? "", message.rawHeaders[index + 1] ?? "");
  }
  const empty = status === 204 || status === 205 || status === 304;
  if (empty) message.resume();
  const streaming = headers.get("content-type")?.startsWith("text/event-stream") === true;
  const body = empty ? null : (Readable.toWeb(streaming ? message : message.pipe(bound())) as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
}

/** Ends a body that is longer than anybody would read. */
function bound(): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > MOST_BYTES) done(new GuildError("resource_exhausted", `the answer has more than ${MOST_BYTES} bytes`));
      else done(null, chunk);
    },
  });
}

async function tunnel(socket: Duplex, url: URL, authority: Uint8Array, signal: AbortSignal | undefined): Promise<Duplex> {
  const port = url.port === "" ? 443 : Number(url.port);
  const connected = await new Promise<Duplex>((resolve, reject) => {
    const request = http.request({
      method: "CONNECT",
      path: `${url.hostname}:${port}`,
      headers: { host: `${url.hostname}:${port}` },
      createConnection: () => socket,
    });
    const stop = (): void => void request.destroy(GuildError.from(signal?.reason));
    signal?.addEventListener("abort", stop, { once: true });
    request.once("error", reject);
    request.once("connect", (response, established) => {
      signal?.removeEventListener("abort", stop);
      if (response.statusCode === 200) return resolve(established);
      established.destroy();
      reject(
        new GuildError("permission_denied", `the policy refuses ${url.host}: ${response.statusMessage ?? ""}`, {
          remedy: "allow the host in policy.toml: [[network.rules]]",
        }),
      );
    });
    request.end();
  });
  return await new Promise((resolve, reject) => {
    const secure = connectTls({ socket: connected, servername: url.hostname, ca: Buffer.from(authority), ALPNProtocols: ["http/1.1"] });
    secure.once("secureConnect", () => resolve(secure));
    secure.once("error", reject);
  });
}

/** A stream to a port on the sandbox's loopback, read as fast as it is wanted. */
async function dial(sandbox: Sandbox, port: number): Promise<Duplex> {
  const connection = await sandbox.connect(port);
  const iterator = connection.readable[Symbol.asyncIterator]();
  const stream = new Duplex({
    read() {
      iterator.next().then(
        (next) => stream.push(next.done === true ? null : Buffer.from(next.value)),
        (error: unknown) => stream.destroy(GuildError.from(error)),
      );
    },
    write(chunk: Buffer, _encoding, done) {
      callbackify(() => connection.write(chunk))(done);
    },
    destroy(error, done) {
      callbackify(() => connection.close())((failed) => done(error ?? failed));
    },
  });
  return stream;
}

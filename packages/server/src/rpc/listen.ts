import { chmodSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";

import { GuildError } from "@guildhall/core";

/** Takes requests of HTTP/1.1 and HTTP/2 alike; `connectNodeAdapter` makes one. */
export type RequestHandler = (
  request: http.IncomingMessage | http2.Http2ServerRequest,
  response: http.ServerResponse | http2.Http2ServerResponse,
) => void;

export interface Listener {
  /** `unix:<path>` or `http://host:port`. */
  readonly address: string;
  /** Accepts nobody any more; who is connected stays. A Unix socket's path is gone at once. */
  refuse(): void;
  /** Cuts who is still there. */
  close(): Promise<void>;
}

export interface ListenOptions {
  handler: RequestHandler;
  /** Called for each connection; what it returns is called when the connection ends. */
  connected(): () => void;
}

/**
 * Cleartext HTTP/2 on a Unix socket that only its owner can connect to (0600). The caller holds the daemon's lock: whatever lies at `path` is
 * stale and is replaced.
 */
export async function listenOnSocket(path: string, options: ListenOptions): Promise<Listener> {
  const server = http2.createServer(options.handler);
  const cut = track(server, options.connected);
  rmSync(path, { force: true });
  const umask = process.umask(0o177);
  const listening = listen(server, { path });
  process.umask(umask);
  await listening;
  chmodSync(path, 0o600);
  return listener(`unix:${path}`, [server], cut);
}

/**
 * One TCP port for HTTP/1.1 and HTTP/2: Node's cleartext HTTP/2 server takes no HTTP/1.1, so the first bytes decide which of two inner
 * listeners (sockets in `directory`) a connection is piped to.
 */
export async function listenOnTcp(address: { host: string; port: number }, directory: string, options: ListenOptions): Promise<Listener> {
  const inner = [`${directory}/tcp1.sock`, `${directory}/tcp2.sock`] as const;
  const servers = [http.createServer(options.handler), http2.createServer(options.handler)] as const;
  const front = net.createServer((socket) => void sniff(socket, inner));
  const cut = track(front, options.connected);
  for (const [index, path] of inner.entries()) {
    rmSync(path, { force: true });
    const umask = process.umask(0o177);
    const listening = listen(servers[index] ?? servers[0], { path });
    process.umask(umask);
    await listening;
  }
  await listen(front, address).catch(async (error: unknown) => {
    await listener("", [...servers], async () => undefined).close();
    throw error;
  });
  const bound = front.address() as net.AddressInfo;
  const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  return listener(`http://${host}:${bound.port}`, [front, ...servers], cut);
}

/** `host:port`, `:port` and `[v6]:port`. Throws `invalid_argument`. */
export function parseAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new GuildError("invalid_argument", `${text} is no address`, { remedy: "give host:port, for example 127.0.0.1:7400" });
  }
  return { host: match[1] ?? (match[2] === "" ? "127.0.0.1" : (match[2] ?? "127.0.0.1")), port };
}

const http2Preface = Buffer.from("PRI * HTTP/2");

async function sniff(socket: net.Socket, inner: readonly [string, string]): Promise<void> {
  socket.on("error", () => socket.destroy());
  let head = Buffer.alloc(0);
  while (head.length < http2Preface.length && head.equals(http2Preface.subarray(0, head.length))) {
    const chunk = await nextChunk(socket);
    if (chunk === undefined) return void socket.destroy();
    head = Buffer.concat([head, chunk]);
  }
  const isHttp2 = head.subarray(0, http2Preface.length).equals(http2Preface);
  const upstream = net.connect(isHttp2 ? inner[1] : inner[0]);
  upstream.on("error", () => socket.destroy());
  upstream.write(head);
  socket.pipe(upstream).pipe(socket);
  socket.on("close", () => upstream.destroy());
  upstream.on("close", () => socket.destroy());
}

function nextChunk(socket: net.Socket): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const done = (chunk: Buffer | undefined): void => {
      socket.pause();
      socket.off("data", done).off("close", closed).off("end", closed);
      resolve(chunk);
    };
    const closed = (): void => done(undefined);
    socket.on("data", done).on("close", closed).on("end", closed);
    socket.resume();
  });
}

function track(server: net.Server, connected: () => () => void): () => Promise<void> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    const ended = connected();
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      ended();
    });
  });
  return async () => {
    await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve).destroy())));
  };
}

function listen(server: net.Server, where: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const subject = where.path ?? `${where.host}:${where.port}`;
      reject(new GuildError("unavailable", `cannot listen: ${error.message}`, { subject, remedy: "choose another address", cause: error }));
    });
    server.listen(where, resolve);
  });
}

function listener(address: string, servers: net.Server[], cut: () => Promise<void>): Listener {
  let closed: Promise<unknown> | undefined;
  const refuse = (): void => {
    closed ??= Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  };
  return {
    address,
    refuse,
    async close() {
      refuse();
      await cut();
      await closed;
    },
  };
}

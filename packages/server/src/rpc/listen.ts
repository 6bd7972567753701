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
 * HTTP/1.1 and HTTP/2 on a Unix socket that only its owner can connect to (0600). The caller holds the daemon's lock: whatever lies at `path` is
 * stale and is replaced.
 */
export async function listenOnSocket(path: string, options: ListenOptions): Promise<Listener> {
  const front = createFront(options);
  rmSync(path, { force: true });
  const umask = process.umask(0o177);
  const listening = listen(front.server, { path });
  process.umask(umask);
  await listening;
  chmodSync(path, 0o600);
  return listener(`unix:${path}`, front);
}

/** HTTP/1.1 and HTTP/2 on a TCP address. */
export async function listenOnTcp(address: { host: string; port: number }, options: ListenOptions): Promise<Listener> {
  const front = createFront(options);
  await listen(front.server, address);
  const bound = front.server.address() as net.AddressInfo;
  const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  return listener(`http://${host}:${bound.port}`, front);
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

/** One stream carries many calls: the usual 64 KiB on their way would be too few for all of them. */
export const wideWindows: http2.ServerOptions = { settings: { initialWindowSize: 4 << 20 } };

/** Lets a connection have on its way what one stream of {@link wideWindows} may. */
export function widen(session: http2.ServerHttp2Session): void {
  session.setLocalWindowSize(8 << 20);
}

const http2Preface = Buffer.from("PRI * HTTP/2");

interface Front {
  server: net.Server;
  /** Cuts all connections. */
  cut(): Promise<void>;
}

/**
 * One server for both versions: Node's cleartext HTTP/2 server takes no HTTP/1.1, so the first bytes decide which of two inner servers gets a
 * connection.
 */
function createFront({ handler, connected }: ListenOptions): Front {
  const http1 = http.createServer(handler);
  // Watching a quiet session is no reason to be cut.
  http1.requestTimeout = 0;
  http1.keepAliveTimeout = 0;
  let http2Server: http2.Http2Server | undefined;
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, (socket) => {
    const ended = connected();
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      sockets.delete(socket);
      ended();
    });
    sniff(socket).then(
      (head) => pass(socket, head),
      () => socket.destroy(),
    );
  });
  const pass = (socket: net.Socket, head: Buffer | undefined): void => {
    if (head === undefined) return void socket.destroy();
    socket.unshift(head);
    if (head.subarray(0, http2Preface.length).equals(http2Preface)) {
      http2Server ??= http2.createServer(wideWindows, handler).on("session", widen);
      // It takes what was put back when nobody has begun to let the socket flow.
      http2Server.emit("connection", socket);
    } else {
      http1.emit("connection", socket);
      socket.resume();
    }
  };
  return {
    server,
    cut: async () =>
      void (await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve).destroy())))),
  };
}

/** The first bytes, as many as tell the version; undefined: the connection ended before. */
async function sniff(socket: net.Socket): Promise<Buffer | undefined> {
  let head = Buffer.alloc(0);
  while (head.length < http2Preface.length && head.equals(http2Preface.subarray(0, head.length))) {
    const chunk = (socket.read() as Buffer | null) ?? (await nextChunk(socket));
    if (chunk === undefined) return undefined;
    head = Buffer.concat([head, chunk]);
  }
  return head;
}

function nextChunk(socket: net.Socket): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const look = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk !== null) done(chunk);
    };
    const closed = (): void => done(undefined);
    const done = (chunk: Buffer | undefined): void => {
      socket.off("readable", look).off("close", closed).off("end", closed);
      resolve(chunk);
    };
    socket.on("readable", look).on("close", closed).on("end", closed);
  });
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

function listener(address: string, front: Front): Listener {
  let closed: Promise<void> | undefined;
  const refuse = (): void => {
    closed ??= new Promise((resolve) => front.server.close(() => resolve()));
  };
  return {
    address,
    refuse,
    async close() {
      refuse();
      await front.cut();
      await closed;
    },
  };
}

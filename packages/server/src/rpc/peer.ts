import type http2 from "node:http2";
import net from "node:net";

import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { GuildError } from "@guildhall/core";

import { carriedTransport } from "../carrier/carried-transport.ts";
import { rawCarry } from "../carrier/raw-stream.ts";
import type { PeerTime } from "../services/peer-clock.ts";
import { namedOperations } from "./operations.ts";

/** What a service shows to another one, and trusts. */
export interface PeerSecurity {
  /** Bearer token; empty: none. */
  token?: string;
  /** PEM texts of mutual TLS; without them plain text, which is for loopback and Unix sockets only. */
  tls?: { ca: string; cert?: string; key?: string };
}

/** A connection to another service, made at the first call and again whenever it broke. */
export interface Peer {
  readonly address: string;
  readonly transport: Transport;
  /** For many calls of one request each: they share one stream. What is large or streams requests goes over `transport`. */
  readonly carried: Transport;
  close(): void;
}

/**
 * Speaks gRPC over HTTP/2 with `http://host:port`, `https://host:port`, `host:port` or `unix:/path`, and asks a connection that
 * is quiet in the middle of a call every ten seconds whether it is still there. Throws `invalid_argument` for anything else, and for plain text to another machine.
 */
export function openPeer(
  address: string,
  { token = "", tls }: PeerSecurity = {},
  { observe, tell, maxMessageBytes = 64 << 20 }: Partial<PeerTime> & { maxMessageBytes?: number } = {},
): Peer {
  const { url, socket } = parsePeer(address, tls !== undefined);
  const { hostname: host, port } = new URL(url);
  // Small messages are not held back for more to come.
  const connect = (): net.Socket => (socket === undefined ? net.connect({ host, port: Number(port), noDelay: true }) : net.connect(socket));
  const connection: http2.ClientSessionOptions | http2.SecureClientSessionOptions =
    tls === undefined ? { createConnection: connect, settings } : { ...tls, minVersion: "TLSv1.3", settings };
  // A connection without calls is not asked (a closed one would be, too): it is when it is used again.
  const sessionManager = new Http2SessionManager(url, { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 }, connection);
  const transport = createGrpcTransport({
    baseUrl: url,
    sessionManager,
    interceptors: [...(token === "" ? [] : [bearer(token)]), ...(observe === undefined ? [] : [observe]), namedOperations],
    // Between our own services a processor is dearer than a wire.
    acceptCompression: [],
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
  });
  const carried = carriedTransport(transport, tell, rawCarry(sessionManager, token === "" ? {} : { authorization: `Bearer ${token}` }));
  return { address: socket === undefined ? url : `unix:${socket}`, transport, carried, close: () => sessionManager.abort() };
}

/** One stream carries many calls: the usual 64 KiB on their way would be too few for all of them, bytes. */
const settings: http2.Settings = { initialWindowSize: 4 << 20 };

/** Whether a host is this machine and nobody else can listen in. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host.startsWith("127.") || host === "::1" || host === "[::1]";
}

function parsePeer(address: string, secure: boolean): { url: string; socket?: string } {
  if (address.startsWith("unix:")) return { url: "http://guildhall.local", socket: address.slice("unix:".length) };
  const url = /^https?:\/\//.test(address) ? address : `${secure ? "https" : "http"}://${address}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || parsed.port === "" || parsed.pathname !== "/") {
    throw new GuildError("invalid_argument", `${address} is no address of a service`, {
      remedy: "give host:port, for example 127.0.0.1:7400",
    });
  }
  if (parsed.protocol === "http:" && !isLoopback(parsed.hostname)) {
    throw new GuildError("failed_precondition", "plain text leaves this machine", {
      subject: address,
      remedy: "make certificates with guild certs init, or join through a local proxy",
    });
  }
  if (parsed.protocol === "https:" && !secure) {
    throw new GuildError("failed_precondition", "there is no certificate to join with", {
      subject: address,
      remedy: "make one with guild certs issue, and name its directory with services.certs",
    });
  }
  return { url: parsed.origin };
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Server as SocketServer } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { callbackify } from "node:util";

import { type SecretGrant, substitute } from "../secrets/placeholder.ts";
import { parseHost, whyNotPublic } from "./address.ts";
import type { SessionAuthority } from "./certificates.ts";
import { TrafficMeter, type TrafficLimits } from "./meter.ts";
import { answerNameQuestion, type RecordLookup, systemRecords } from "./name-records.ts";
import { judgeRequest, type Layers, mayConnect, type OutgoingRequest } from "./rules.ts";
import { closeUpstreams, forward, type Upstream } from "./upstream.ts";

/** What the proxy decided of one request or tunnel; every one is reported, and nothing else leaves the sandbox. */
export interface NetworkDecision {
  allowed: boolean;
  rule: string;
  reason: string;
  /** As the sandbox asked for it, without the query. */
  host: string;
  port: number;
  method: string;
  path: string;
  /** Names of the secrets that were put in. */
  secrets: string[];
}

export interface NetworkProxyOptions {
  /** The sandbox's only way out: a Unix socket to listen on, or one that somebody else listens on for us. Closed with the proxy. */
  listen: string | SocketServer;
  /** Rules in force now. */
  layers(): Layers;
  authority: SessionAuthority;
  /** All addresses of a name. */
  resolve(host: string): Promise<string[]>;
  /** Records of a name; default what the system's name servers say. */
  records?: RecordLookup;
  /** Secrets that the session may use: their values are put in here, on the way out. */
  secrets?: { grants(): readonly SecretGrant[]; value(name: string): string | undefined };
  report(decision: NetworkDecision): void;
  limits?: Partial<TrafficLimits>;
  /** Tests reach their own servers by it: where a pinned address is really dialled, and what certificates are trusted there. */
  testing?: { dial(address: string, port: number): { host: string; port: number }; ca?: string };
}

export interface NetworkProxy {
  close(): Promise<void>;
}

/**
 * The one way out of a sandbox: an HTTP proxy that ends TLS with the session's own authority, so that a policy can speak of methods and
 * paths and a credential can be put in outside. Each name is resolved once a request and must have public addresses only; the address is pinned.
 * The name in the tunnel, in the TLS handshake and in the request must be one and the same, and no tunnel leads to a bare address or to
 * anything but HTTP inside TLS. A redirect is the client's next request, judged like any other.
 */
export async function startNetworkProxy(options: NetworkProxyOptions): Promise<NetworkProxy> {
  const meter = new TrafficMeter(options.limits);
  const tunnels = new WeakMap<object, { host: string; port: number }>();
  const sockets = new Set<Duplex>();

  async function handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = understand(message, tunnels.get(message.socket));
    const refuse = (reason: string): void => {
      report(request ?? UNKNOWN, { allowed: false, rule: "", reason });
      response.writeHead(403, { "content-type": "text/plain; charset=utf-8", connection: "close" });
      response.end(`guildhall: ${reason}\n`);
    };
    if (request === undefined) return refuse("a request that cannot be understood, or whose names differ");
    if (request.host === NAMES_HOST && !request.secure) return await answerNames(request, response);
    const verdict = judgeRequest(options.layers(), request);
    if (!verdict.allowed) return refuse(verdict.reason);
    const secrets = substitute(options.secrets?.grants() ?? [], (name) => options.secrets?.value(name), request, message.headers);
    if (!secrets.allowed) return refuse(secrets.reason);
    const began = performance.now();
    const upstream = await pin(request, secrets);
    if (typeof upstream === "string") return refuse(upstream);
    const limit = meter.admit();
    if (limit !== undefined) return refuse(limit);
    report(request, verdict, secrets.used);
    await forward(message, response, { ...upstream, resolvedMs: performance.now() - began }, meter);
  }

  /** Questions about names are answered here, by the same policy. */
  async function answerNames(request: OutgoingRequest & { target: string }, response: ServerResponse): Promise<void> {
    const limit = meter.admit();
    try {
      const query = new URLSearchParams(request.target.split("?")[1] ?? "");
      const { name, type, verdict, answer } =
        limit === undefined
          ? await answerNameQuestion(query, options.layers(), options.records ?? systemRecords)
          : { name: query.get("name") ?? "", type: "", verdict: { allowed: false, rule: "", reason: limit }, answer: undefined };
      report({ host: name, port: 53, method: "DNS", path: type }, verdict);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(answer ?? { refused: verdict.reason }));
    } finally {
      if (limit === undefined) meter.done();
    }
  }

  /** Where the request really goes; a string says why it does not. */
  async function pin(
    request: OutgoingRequest & { target: string },
    secrets: { headers: Upstream["replaced"]; used: readonly string[] },
  ): Promise<Omit<Upstream, "resolvedMs"> | string> {
    let addresses: string[];
    try {
      addresses = await options.resolve(request.host);
    } catch {
      return `${request.host} cannot be resolved`;
    }
    const [address] = addresses;
    if (address === undefined) return `${request.host} has no address`;
    for (const each of addresses) {
      const reason = whyNotPublic(each);
      if (reason !== undefined) return `${request.host} leads to ${reason}`;
    }
    const place = options.testing?.dial(address, request.port) ?? { host: address, port: request.port };
    const hidden = secrets.used.flatMap((name) => options.secrets?.value(name) ?? []);
    return { ...place, request, replaced: secrets.headers, hidden, ca: options.testing?.ca };
  }

  function report(
    request: Omit<OutgoingRequest, "secure">,
    verdict: { allowed: boolean; rule: string; reason: string },
    secrets: string[] = [],
  ): void {
    const { host, port, method, path } = request;
    options.report({ ...verdict, host, port, method, path, secrets });
  }

  function tunnel(message: IncomingMessage, socket: Duplex, head: Buffer): void {
    const place = parseAuthority(message.url ?? "");
    const asked = { host: place?.host ?? message.url ?? "", port: place?.port ?? 0, method: "CONNECT", path: "" };
    const verdict =
      place === undefined
        ? { allowed: false, rule: "", reason: "tunnels lead to names, not to bare addresses" }
        : mayConnect(options.layers(), place.host, place.port);
    if (place === undefined || !verdict.allowed) {
      report(asked, verdict);
      // Clients show the words of a refused tunnel, and nothing else of it.
      socket.end(
        `HTTP/1.1 403 ${verdict.reason.replace(/[^ -~]/g, "?")}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nguildhall: ${verdict.reason}\n`,
      );
      return;
    }
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    if (head.length > 0) socket.unshift(head);
    const secure = new TLSSocket(socket, {
      isServer: true,
      ALPNProtocols: ["http/1.1"],
      SNICallback: (name, done) => {
        if (name.toLowerCase() !== place.host) {
          report(asked, { allowed: false, rule: "", reason: `the TLS handshake names ${name}, the tunnel ${place.host}` });
          done(new Error("names differ"));
          return;
        }
        callbackify(() => options.authority.contextFor(place.host))(done);
      },
    });
    secure.on("error", () => socket.destroy());
    tunnels.set(secure, place);
    inner.emit("connection", secure);
  }

  const serve = (message: IncomingMessage, response: ServerResponse): void => {
    handle(message, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { "content-type": "text/plain", connection: "close" }).end(`guildhall: ${String(error)}\n`);
    });
  };
  const noUpgrade = (_message: IncomingMessage, socket: Duplex): void => {
    socket.end("HTTP/1.1 501 Not Implemented\r\nconnection: close\r\n\r\n");
  };
  const inner = createServer({ insecureHTTPParser: false }, serve).on("upgrade", noUpgrade);
  const outer: Server = createServer({ insecureHTTPParser: false }, serve).on("connect", tunnel).on("upgrade", noUpgrade);
  outer.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  const listener: SocketServer = typeof options.listen === "string" ? outer : options.listen;
  if (typeof options.listen === "string") {
    await rm(options.listen, { force: true });
    outer.listen(options.listen);
    await once(outer, "listening");
  } else {
    options.listen.on("connection", (socket) => outer.emit("connection", socket));
  }
  return {
    async close() {
      for (const socket of sockets) socket.destroy();
      closeUpstreams(meter);
      listener.close();
      await once(listener, "close");
    },
  };
}

/** What the proxy itself answers: questions about names. No name of the world ends so. */
const NAMES_HOST = "dns.guildhall";

const UNKNOWN = { host: "", port: 0, method: "", path: "" };

/** The request with canonical names; undefined where the tunnel, the host header and the target do not say the same. */
function understand(
  message: IncomingMessage,
  tunnel: { host: string; port: number } | undefined,
): (OutgoingRequest & { target: string }) | undefined {
  const target = message.url ?? "";
  const authority = message.headers.host ?? "";
  let url: URL;
  try {
    url = tunnel === undefined ? new URL(target) : new URL(target, `https://${tunnel.host}:${tunnel.port}/`);
  } catch {
    return undefined;
  }
  if (tunnel === undefined ? url.protocol !== "http:" : !target.startsWith("/") || target.startsWith("//")) return undefined;
  if (url.username !== "" || url.password !== "") return undefined;
  const defaultPort = tunnel === undefined ? 80 : 443;
  const said = parseAuthority(authority, defaultPort);
  const place = tunnel ?? parseAuthority(url.host, defaultPort);
  if (said === undefined || place === undefined || said.host !== place.host || said.port !== place.port) return undefined;
  if (isAmbiguousPath(url.pathname)) return undefined;
  const path = url.pathname;
  return { secure: tunnel !== undefined, ...place, method: (message.method ?? "").toUpperCase(), path, target: path + url.search };
}

/** `name:port`; undefined for bare addresses and for what is no authority at all. */
function parseAuthority(text: string, defaultPort?: number): { host: string; port: number } | undefined {
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(text);
  const host = parseHost(match?.[1] ?? "");
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (host.kind !== "name" || port === undefined || port < 1 || port > 65_535) return undefined;
  return { host: host.name, port };
}

/** Encoded separators that a server behind may decode to a way out of an allowed path. */
function isAmbiguousPath(path: string): boolean {
  return /%2f|%5c|%00|\\/i.test(path) && /\.\.|%2e/i.test(path);
}

import { randomUUID, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";

import { GuildError } from "@guildhall/core";
import type { EventStore, McpServer, Server, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";

export interface ServeHttpOptions {
  /** A fresh server for each client. */
  create(): McpServer | Server;
  host: string;
  /** 0: any free one. */
  port: number;
  /** What clients have to show as a bearer token; undefined: nothing. */
  token?: string;
  /** How soon a client whose stream was closed should come again, milliseconds. */
  retryMs?: number;
}

export interface HttpEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/** Clients of the stateful protocol that are served at a time. */
const MOST_CLIENTS = 100;
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Streamable HTTP at a loopback address, for both generations of the protocol: since 2026 each request stands alone, before that a client has a
 * session here. Requests whose Host or Origin is another machine's are refused, whatever name led here.
 */
export async function serveOverHttp(options: ServeHttpOptions): Promise<HttpEndpoint> {
  if (!LOOPBACK.includes(options.host)) {
    throw new GuildError("invalid_argument", "an MCP server is served at a loopback address only", {
      subject: options.host,
      remedy: "use 127.0.0.1",
    });
  }
  const { createMcpHandler, isLegacyRequest } = await import("@modelcontextprotocol/server");
  const modern = createMcpHandler(options.create, { legacy: "reject" });
  const clients = new Clients(options);
  const answer = async (request: Request): Promise<Response> =>
    (await isLegacyRequest(request)) ? await clients.answer(request) : await modern.fetch(request);

  const handle = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refusal = refuse(message, options.token);
    if (refusal !== undefined) {
      response.writeHead(refusal, { connection: "close" }).end();
      return;
    }
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const { status, headers, body } = await answer(toRequest(message, gone.signal));
    response.writeHead(status, Object.fromEntries(headers));
    if (body === null) response.end();
    else {
      response.flushHeaders();
      // A client that leaves in the middle is no fault of ours.
      await pipeline(Readable.fromWeb(body as WebStream<Uint8Array>), response).catch(() => undefined);
    }
  };
  const server = createServer((message, response) => {
    handle(message, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500).end();
      else response.destroy(GuildError.from(error));
    });
  }).listen(options.port, options.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host}:${port}/mcp`,
    async close() {
      await Promise.all([modern.close(), clients.close()]);
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Clients of the stateful protocol, by the session that they were given. */
class Clients {
  readonly #options: ServeHttpOptions;
  readonly #known = new Map<string, WebStandardStreamableHTTPServerTransport>();

  constructor(options: ServeHttpOptions) {
    this.#options = options;
  }

  async answer(request: Request): Promise<Response> {
    const id = request.headers.get("mcp-session-id");
    const known = id === null ? undefined : this.#known.get(id);
    if (known !== undefined) return await known.handleRequest(request);
    if (id !== null) return new Response(null, { status: 404 });
    if (this.#known.size >= MOST_CLIENTS) return new Response(null, { status: 503 });
    const { WebStandardStreamableHTTPServerTransport: Transport } = await import("@modelcontextprotocol/server");
    const { retryMs } = this.#options;
    const transport = new Transport({
      sessionIdGenerator: randomUUID,
      eventStore: new RecentEvents(),
      ...(retryMs === undefined ? {} : { retryInterval: retryMs }),
      onsessioninitialized: (session) => void this.#known.set(session, transport),
      onsessionclosed: (session) => void this.#known.delete(session),
    });
    await this.#options.create().connect(transport);
    return await transport.handleRequest(request);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#known.values()].map((transport) => transport.close()));
  }
}

/** What a client may have missed while its stream was closed: the last messages, in memory. */
class RecentEvents implements EventStore {
  readonly #events: Array<{ id: string; stream: string; message: Parameters<EventStore["storeEvent"]>[1] }> = [];
  #last = 0;

  async storeEvent(stream: string, message: Parameters<EventStore["storeEvent"]>[1]): Promise<string> {
    const id = `${stream}_${(this.#last += 1)}`;
    this.#events.push({ id, stream, message });
    if (this.#events.length > 200) this.#events.shift();
    return id;
  }

  async replayEventsAfter(last: string, { send }: Parameters<EventStore["replayEventsAfter"]>[1]): Promise<string> {
    const at = this.#events.findIndex(({ id }) => id === last);
    const stream = this.#events[at]?.stream ?? last.slice(0, last.lastIndexOf("_"));
    // What stands for the beginning of a stream has no message in it.
    const missed = this.#events.slice(at + 1).filter((event) => event.stream === stream && "jsonrpc" in event.message);
    for (const { id, message } of missed) await send(id, message);
    return stream;
  }
}

function refuse({ headers }: IncomingMessage, token: string | undefined): number | undefined {
  const name = (authority: string): string => authority.replace(/:\d+$/, "");
  if (!LOOPBACK.includes(name(headers.host ?? ""))) return 403;
  if (headers.origin !== undefined && !(URL.canParse(headers.origin) && LOOPBACK.includes(new URL(headers.origin).hostname))) return 403;
  if (token === undefined) return undefined;
  const shown = Buffer.from(headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return shown.length === wanted.length && timingSafeEqual(shown, wanted) ? undefined : 401;
}

function toRequest(message: IncomingMessage, signal: AbortSignal): Request {
  const { method = "GET", url = "/", headers, rawHeaders } = message;
  const all = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) all.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
  const body =
    method === "GET" || method === "HEAD" || method === "DELETE"
      ? null
      : (Readable.toWeb(message) as unknown as ReadableStream<Uint8Array>);
  return new Request(`http://${headers.host}${url}`, { method, headers: all, body, signal, ...(body === null ? {} : { duplex: "half" }) });
}

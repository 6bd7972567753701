import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { anthropicWire } from "./fake-model-server-anthropic.ts";
import { googleWire } from "./fake-model-server-google.ts";
import { openaiChatWire } from "./fake-model-server-openai-chat.ts";
import { openaiResponsesWire } from "./fake-model-server-openai-responses.ts";
import type { FakeFault, FakeIds, FakeReply, FakeWire, Frame } from "./fake-model-server-reply.ts";

/** One request to the model, as it arrived. */
export interface FakeRequest {
  /** 0 for the first. */
  index: number;
  wire: FakeWire["name"];
  path: string;
  headers: Record<string, string | string[] | undefined>;
  /** When its headers arrived, `process.hrtime.bigint()`. */
  arrivedNs: bigint;
  /** When the whole answer was handed to the kernel; undefined while it was not. */
  repliedNs: bigint | undefined;
  /** The parsed body; parsed at first use, undefined where bodies are not kept. */
  readonly body: unknown;
  /** Replies of the model that the conversation already holds: the position in a script. */
  readonly turns: number;
}

/** Decides what to answer. */
export type FakeModelScript = (request: FakeRequest) => FakeReply | Promise<FakeReply>;

export interface FakeModelServerOptions {
  /** A list is answered in the order of arrival; past its end, and without one, `{ text: "done" }`. */
  reply?: FakeModelScript | FakeReply[];
  /** Default 0: any free port. */
  port?: number;
  /** Keep requests with their bodies. Default true; benchmarks keep arrival times only. */
  keepBodies?: boolean;
  /** Ids that `GET /v1/models` lists. Default `["fake"]`. */
  models?: string[];
}

export interface FakeModelServer {
  /** `http://127.0.0.1:<port>`; for Anthropic and Google add their version path. */
  origin: string;
  /** `<origin>/v1`: base URL for OpenAI's formats. */
  baseUrl: string;
  port: number;
  /** Requests to the model so far, in order of arrival. */
  requests: FakeRequest[];
  /** Replaces the script. */
  answer(reply: FakeModelScript | FakeReply[]): void;
  close(): Promise<void>;
}

/** Replies by the position in each conversation: any number of sessions can run the same script side by side. Past its end the last reply again. */
export function inConversation(replies: FakeReply[]): FakeModelScript {
  return (request) => replies[Math.min(request.turns, replies.length - 1)] ?? { text: "done" };
}

const WIRES: FakeWire[] = [openaiChatWire, openaiResponsesWire, anthropicWire, googleWire];

/**
 * A model service on loopback that speaks OpenAI chat completions and responses, Anthropic messages and Gemini over their real wire formats,
 * answers at once what it is told to, and goes wrong on demand. It judges nothing: any key is right.
 */
export async function startFakeModelServer(options: FakeModelServerOptions = {}): Promise<FakeModelServer> {
  const keepBodies = options.keepBodies ?? true;
  const requests: FakeRequest[] = [];
  const stop = new AbortController();
  let script = scriptOf(options.reply);
  let calls = 0;
  const server: Server = createServer((message, response) => {
    const arrivedNs = process.hrtime.bigint();
    void receive(message, response, arrivedNs).catch((error: unknown) => {
      if (stop.signal.aborted || response.destroyed) return;
      // A fault of the test's own script: say so where the test will see it.
      if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain" });
      response.end(`fake model server: ${String(error)}`);
    });
  });

  async function receive(message: IncomingMessage, response: ServerResponse, arrivedNs: bigint): Promise<void> {
    const path = (message.url ?? "/").split("?", 1)[0] ?? "/";
    if (message.method === "GET") return control(path, response);
    const chunks: Uint8Array[] = [];
    for await (const chunk of message) chunks.push(chunk as Uint8Array);
    const bytes = Buffer.concat(chunks);
    const wire = WIRES.find((candidate) => candidate.matches(path));
    if (wire === undefined) {
      response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify({ error: { message: `no route ${path}` } }));
      return;
    }
    const request = recorded(requests.length, wire, path, message, arrivedNs, bytes, keepBodies);
    requests.push(request);
    const answer = script(request);
    const reply = answer instanceof Promise ? await answer : answer;
    const ids: FakeIds = { reply: `reply-${request.index + 1}`, call: () => `call_${String(++calls).padStart(6, "0")}` };
    await send(response, wire, reply, ids, wire.streams(message.url ?? path, bytes), stop.signal);
    request.repliedNs = process.hrtime.bigint();
  }

  function control(path: string, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/json" });
    if (path === "/fake/requests") {
      response.end(
        JSON.stringify(requests.map(({ arrivedNs, repliedNs }) => ({ arrivedNs: String(arrivedNs), repliedNs: String(repliedNs) }))),
      );
    } else {
      response.end(JSON.stringify({ object: "list", data: (options.models ?? ["fake"]).map((id) => ({ id, object: "model" })) }));
    }
  }

  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return {
    origin,
    baseUrl: `${origin}/v1`,
    port,
    requests,
    answer(reply) {
      script = scriptOf(reply);
    },
    async close() {
      stop.abort();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function scriptOf(reply: FakeModelScript | FakeReply[] | undefined): FakeModelScript {
  if (typeof reply === "function") return reply;
  let next = 0;
  return () => reply?.[next++] ?? { text: "done" };
}

function recorded(
  index: number,
  wire: FakeWire,
  path: string,
  message: IncomingMessage,
  arrivedNs: bigint,
  bytes: Uint8Array,
  keepBodies: boolean,
): FakeRequest {
  let held: Uint8Array | undefined = bytes;
  let body: unknown;
  const parse = (): unknown => {
    if (body === undefined && held !== undefined) body = JSON.parse(Buffer.from(held).toString("utf8")) as unknown;
    return body;
  };
  const request: FakeRequest = {
    index,
    wire: wire.name,
    path,
    headers: message.headers,
    arrivedNs,
    repliedNs: undefined,
    get body() {
      return parse();
    },
    get turns() {
      return wire.turns(parse());
    },
  };
  if (!keepBodies) {
    // The script is asked before the next turn of the event loop, or not about the body at all.
    setImmediate(() => {
      held = undefined;
      body = undefined;
    });
  }
  return request;
}

async function send(
  response: ServerResponse,
  wire: FakeWire,
  reply: FakeReply,
  ids: FakeIds,
  streams: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (reply.delayMs !== undefined) await sleep(reply.delayMs, undefined, { signal });
  const { fault } = reply;
  if (fault !== undefined && (await sendWholeFault(response, wire, fault, signal))) return;
  if (!streams) {
    response.writeHead(200, { "content-type": "application/json" });
    await ended(response, JSON.stringify(wire.json(reply, ids)));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const split = fault?.kind === "cut" && fault.at === "call" ? { ...reply, pieces: reply.pieces ?? 3 } : reply;
  const { frames, ending } = withFault(wire, wire.frames(split, ids), fault);
  if (reply.frameDelayMs === undefined) {
    const held = reply.heldUntil === undefined ? 0 : frames.findIndex(({ part }) => part === "text") + 1;
    for (const frame of frames.slice(0, held)) response.write(frame.text);
    await reply.heldUntil;
    const body = frames
      .slice(held)
      .map((frame) => frame.text)
      .join("");
    if (ending === "end") return ended(response, body);
    if (body !== "") await written(response, body);
  } else {
    for (const frame of frames) {
      response.write(frame.text);
      await sleep(reply.frameDelayMs, undefined, { signal });
    }
    if (ending === "end") return ended(response, "");
  }
  if (ending === "reset") response.destroy();
}

/** Faults that replace the whole answer. */
async function sendWholeFault(response: ServerResponse, wire: FakeWire, fault: FakeFault, signal: AbortSignal): Promise<boolean> {
  switch (fault.kind) {
    case "status": {
      response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      await ended(response, fault.body ?? JSON.stringify(wire.error(fault.status, fault.message ?? `status ${fault.status}`, fault.code)));
      return true;
    }
    case "no_body":
      response.writeHead(200, { "content-type": "text/event-stream" });
      await ended(response, "");
      return true;
    case "body":
      response.writeHead(200, { "content-type": fault.contentType ?? "text/event-stream" });
      await ended(response, fault.body);
      return true;
    case "hang":
      if (fault.at === "headers") return true;
      return false;
    case "cut":
      if (fault.at !== "headers") return false;
      response.destroy();
      return true;
    case "huge": {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const filler = "x".repeat(16_384);
      const frames = wire.frames({ text: filler }, { reply: "reply-huge", call: () => "call_huge" });
      const text = frames.find((frame) => frame.part === "text")?.text ?? "";
      response.on("error", () => undefined);
      if (fault.oneLine === true) response.write("data: ");
      for (let sent = 0; sent < fault.bytes && !response.destroyed && !signal.aborted; sent += filler.length) {
        if (!response.write(fault.oneLine === true ? filler : text)) await drained(response);
      }
      response.end();
      return true;
    }
    case "invalid_utf8": {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const frames = wire.frames({ text: "before @@ after" }, { reply: "reply-utf8", call: () => "call_utf8" });
      const body = Buffer.from(frames.map((frame) => frame.text).join(""));
      const mark = body.indexOf("@@");
      body[mark] = 0xff;
      body[mark + 1] = 0xc3;
      await ended(response, body);
      return true;
    }
    case "stream_error":
      return false;
  }
}

/** The frames that are sent before a fault within the stream, and how it ends then. */
function withFault(wire: FakeWire, frames: Frame[], fault: FakeFault | undefined): { frames: Frame[]; ending: "end" | "reset" | "hang" } {
  if (fault?.kind !== "cut" && fault?.kind !== "stream_error" && fault?.kind !== "hang") return { frames, ending: "end" };
  if (fault.at === "headers") return { frames: [], ending: "reset" };
  const first = frames.findIndex((frame) => frame.part === fault.at);
  const kept = frames.slice(0, fault.at === "finish" ? first : first + 1);
  if (fault.kind === "hang") return { frames: kept, ending: "hang" };
  if (fault.kind === "cut") return { frames: kept, ending: fault.clean === true ? "end" : "reset" };
  return { frames: [...kept, { part: "finish", text: wire.errorFrame(fault.message, fault.code) }], ending: "end" };
}

function ended(response: ServerResponse, body: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    response.on("close", resolve);
    response.end(body, resolve);
  });
}

function written(response: ServerResponse, body: string): Promise<void> {
  return new Promise((resolve) => {
    response.write(body, () => resolve());
  });
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
    response.once("close", resolve);
  });
}

import { readFileSync } from "node:fs";
import type { Agent, IncomingMessage as Incoming } from "node:http";
import type * as Http from "node:http";
import type * as Https from "node:https";
import { createRequire } from "node:module";

import { create, type DescMessage, type DescMethod, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { type ErrorCode, GuildError } from "@guildhall/core";
import { ErrorDetailSchema } from "@guildhall/protocol";

import { certificateFault } from "./certificate-fault.ts";

// As an ES module `node:http` reads all its exports, and thereby loads undici: 50 ms that a command has no use for.
const require = createRequire(import.meta.url);
const http = require("node:http") as typeof Http;
// Only who has a gateway elsewhere needs TLS.
const https = {
  get Agent() {
    return (require("node:https") as typeof Https).Agent;
  },
  get request() {
    return (require("node:https") as typeof Https).request;
  },
};

/** A gateway elsewhere. `ca`: file of the authority that its certificate comes from; empty: the system's; absent: plain text. */
export interface WireTarget {
  host: string;
  port: number;
  token: string;
  ca?: string;
}

interface Address {
  secure: boolean;
  options: { socketPath: string } | { host: string; port: number; ca?: Buffer };
  headers: Record<string, string>;
}

function addressOf(target: string | WireTarget): Address {
  if (typeof target === "string") return { secure: false, options: { socketPath: target }, headers: { host: "guildhall.local" } };
  const { host, port, token, ca } = target;
  const authority = ca === undefined || ca === "" ? {} : { ca: readAuthority(ca) };
  return {
    secure: ca !== undefined,
    options: { host: host.replace(/^\[|\]$/g, ""), port, ...authority },
    headers: token === "" ? {} : { authorization: `Bearer ${token}` },
  };
}

function readAuthority(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { message } = GuildError.from(cause);
    throw new GuildError("invalid_argument", `the gateway's authority cannot be read: ${message}`, {
      remedy: "check GUILD_GATEWAY_CA",
      cause,
    });
  }
}

/** Calls over a Unix socket, or to a gateway. */
export interface Wire {
  /** All methods of a service but those that stream both ways, which HTTP/1.1 cannot. Errors are GuildErrors. */
  client<Service extends DescService>(service: Service): Client<Service>;
  close(): void;
}

/**
 * The Connect protocol (https://connectrpc.com/docs/protocol) over HTTP/1.1, binary, uncompressed: what `@connectrpc/connect-node` would do, in a
 * quarter of its time to load. An address where nobody listens gives `unavailable` with the system's error as cause.
 */
export function openWire(target: string | WireTarget): Wire {
  const address = addressOf(target);
  const agent = address.secure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
  return {
    client<Service extends DescService>(service: Service): Client<Service> {
      const methods = service.methods.map((method) => [method.localName, callOf(address, agent, method)]);
      return Object.fromEntries(methods) as Client<Service>;
    },
    close: () => agent.destroy(),
  };
}

/** A call whose signal has aborted is given up: its answer ends as if the daemon had gone, and the daemon hears of it. */
function callOf(address: Address, agent: Agent, method: DescMethod): (input: unknown, options?: { signal?: AbortSignal }) => unknown {
  const { methodKind: kind } = method;
  if (kind === "unary") return (input) => unary(address, agent, method, input);
  if (kind === "server_streaming") return (input, options) => stream(address, agent, method, [input], options?.signal);
  if (kind === "client_streaming") {
    return async (inputs) => {
      for await (const message of stream(address, agent, method, inputs as AsyncIterable<unknown>)) return message;
      throw new GuildError("internal", `${method.name} gave no answer`);
    };
  }
  return () => {
    throw new GuildError("unsupported", `${method.name} streams both ways, which this connection cannot`);
  };
}

async function unary(address: Address, agent: Agent, method: DescMethod, input: unknown): Promise<unknown> {
  const bytes = encode(method.input, input);
  const { incoming } = await post(address, agent, method, "application/proto", async (write) => write(bytes));
  const body = await readAll(incoming);
  if (incoming.statusCode !== 200) throw toError(body, incoming.statusCode);
  return fromBinary(method.output, body);
}

async function* stream(
  address: Address,
  agent: Agent,
  method: DescMethod,
  inputs: AsyncIterable<unknown> | Iterable<unknown>,
  signal?: AbortSignal,
): AsyncGenerator<unknown> {
  const { incoming, sending } = await post(address, agent, method, "application/connect+proto", async (write) => {
    for await (const input of inputs) await write(envelope(encode(method.input, input)));
  });
  const stop = (): void => void incoming.destroy();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted === true) stop();
  try {
    if (incoming.statusCode !== 200) throw toError(await readAll(incoming), incoming.statusCode);
    let rest: Buffer = Buffer.alloc(0);
    let ended = false;
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const flags = rest.readUInt8(0);
        const payload = rest.subarray(5, 5 + rest.readUInt32BE(1));
        rest = rest.subarray(5 + payload.length);
        if ((flags & endOfStream) === 0) yield fromBinary(method.output, payload);
        else {
          ended = true;
          const { error } = JSON.parse(payload.toString()) as { error?: StatusJson };
          // What went wrong here while requests were made says more than what the daemon then saw.
          if (error !== undefined) throw failureOf(sending) ?? fromStatusJson(error);
        }
      }
    }
    if (!ended) throw failureOf(sending) ?? wentAway();
  } catch (error) {
    throw error instanceof GuildError ? error : wentAway(error);
  } finally {
    signal?.removeEventListener("abort", stop);
    incoming.destroy();
  }
}

const endOfStream = 2;

/** How far a request has come; `failure` is what kept it from being sent whole. */
interface Sending {
  failure: unknown;
}

/** Sends the request while it is being produced; resolves when the response's head is there. */
function post(
  address: Address,
  agent: Agent,
  method: DescMethod,
  contentType: string,
  produce: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<{ incoming: Incoming; sending: Sending }> {
  return new Promise((resolve, reject) => {
    const sending: Sending = { failure: undefined };
    const outgoing = (address.secure ? https : http).request({
      ...address.options,
      agent,
      method: "POST",
      path: `/${method.parent.typeName}/${method.name}`,
      headers: { ...address.headers, "content-type": contentType, "connect-protocol-version": "1" },
    });
    outgoing.on("response", (incoming) => resolve({ incoming, sending }));
    outgoing.on("error", (error) => reject(failureOf(sending) ?? wentAway(error)));
    const write = (bytes: Uint8Array): Promise<void> =>
      new Promise((written, failed) => void outgoing.write(bytes, (error) => (error ? failed(wentAway(error)) : written())));
    produce(write).then(
      () => outgoing.end(),
      (error: unknown) => {
        sending.failure = error;
        outgoing.destroy();
        reject(GuildError.from(error));
      },
    );
  });
}

/** Why the request was not sent whole, if that is why the call failed: it says more than the broken connection that follows from it. */
function failureOf(sending: Sending): GuildError | undefined {
  return sending.failure === undefined ? undefined : GuildError.from(sending.failure);
}

function encode(schema: DescMessage, input: unknown): Uint8Array {
  return toBinary(schema, create(schema, input as Record<string, unknown>));
}

function envelope(bytes: Uint8Array): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

async function readAll(incoming: Incoming): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch (error) {
    throw wentAway(error);
  }
  return Buffer.concat(chunks);
}

interface StatusJson {
  code?: string;
  message?: string;
  details?: Array<{ type: string; value: string }>;
}

function toError(body: Buffer, status: number | undefined): GuildError {
  try {
    return fromStatusJson(JSON.parse(body.toString()) as StatusJson);
  } catch {
    if (status === 401)
      return new GuildError("unauthenticated", body.toString().trim(), { remedy: "GUILD_TOKEN is the token of that gateway's services" });
    // No status of the protocol: what a daemon says that could not start, or something else that listens there.
    return new GuildError("unavailable", body.toString().trim() || `the daemon answered with HTTP status ${status}`, {
      remedy: "run the command again",
    });
  }
}

function fromStatusJson({ code, message = "", details = [] }: StatusJson): GuildError {
  const found = details.find(({ type }) => type === ErrorDetailSchema.typeName);
  if (found !== undefined) {
    const detail = fromBinary(ErrorDetailSchema, Buffer.from(found.value, "base64"));
    return new GuildError(detail.code as ErrorCode, message, {
      ...(detail.subject === "" ? {} : { subject: detail.subject }),
      ...(detail.remedy === "" ? {} : { remedy: detail.remedy }),
    });
  }
  if (code === "canceled") return new GuildError("cancelled", "the call was cancelled");
  // Only the transport says so without a detail.
  if (code === "resource_exhausted")
    return new GuildError(code, `one message holds more than is taken: ${message}`, { remedy: "send less at once" });
  if (code === "unimplemented")
    return new GuildError("unsupported", message, { remedy: "the daemon may be of another version: guild down" });
  return new GuildError("internal", message === "" ? `the daemon answered ${code}` : message);
}

function wentAway(cause?: unknown): GuildError {
  const fault = certificateFault(cause);
  if (fault !== undefined) return fault;
  return new GuildError("unavailable", "the daemon went away", {
    remedy: "run the command again",
    ...(cause === undefined ? {} : { cause }),
  });
}

import { type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { storedOutputPath } from "../output/stored-output.ts";
import { isLoopback, LONG_URL, webAddress } from "./address.ts";
import { ACCEPT_ENCODING, readBody } from "./body.ts";
import { exchange, type Timing } from "./exchange.ts";
import { USER_AGENT } from "./fetch.ts";
import { decodeText, isText, mediaType } from "./media-type.ts";
import { withinTime } from "./time-limit.ts";
import { recordText } from "./untrusted.ts";

const DEFAULT_S = 30;
const READING = new Set(["GET", "HEAD", "OPTIONS"]);

const schema = z.strictObject({
  url: z.string().min(1),
  method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).optional().describe("Default GET"),
  headers: z.record(z.string(), z.string()).optional(),
  body: z.string().optional(),
  json: z.unknown().optional().describe("Body as JSON"),
  timeout_s: z.number().positive().max(300).optional().describe(`Default ${DEFAULT_S}`),
});
type HttpInput = z.output<typeof schema>;

/** One HTTP request with its whole answer and what each part of the way took; see docs/tools.md. Redirects are shown, not followed. */
export const httpTool = defineTool({
  name: "http",
  description:
    "Make one HTTP request; shows status, headers, body, and the time of DNS, connect, TLS and first byte. Reaches servers of the sandbox at localhost.",
  lazy: true,
  schema,
  risk: ({ method = "GET", url }) => (READING.has(method) ? Risk.LOW : isOwn(url) ? Risk.MEDIUM : Risk.HIGH),
  resources: ({ method = "GET", url }) => (READING.has(method) ? [] : [{ name: `network:${hostOf(url)}`, access: "write" }]),
  sends: ({ method = "GET", url, headers, body, json }) =>
    isOwn(url) || (READING.has(method) && headers === undefined && body === undefined && json === undefined && url.length <= LONG_URL)
      ? undefined
      : `${method} ${hostOf(url)}`,
  execute: (input, context) => withinTime(context.signal, input.timeout_s ?? DEFAULT_S, (signal) => run(input, context, signal)),
});

async function run(input: HttpInput, { session }: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  const began = performance.now();
  const url = webAddress(input.url);
  const { method = "GET" } = input;
  if (input.body !== undefined && input.json !== undefined) return { status: "error", output: "Give body or json, not both." };
  const text = input.json === undefined ? input.body : JSON.stringify(input.json);
  const own = Object.fromEntries(Object.entries(input.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  const refused = Object.entries(own).find(
    ([name, value]) => !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) || /[\r\n\0]/.test(value) || OURS.has(name),
  );
  if (refused !== undefined) return { status: "error", output: `The header ${JSON.stringify(refused[0])} cannot be sent.` };
  const headers = {
    accept: "*/*",
    "user-agent": USER_AGENT,
    "accept-encoding": ACCEPT_ENCODING,
    ...(input.json === undefined ? {} : { "content-type": "application/json" }),
    ...own,
  };
  const answer = await exchange(
    session.sandbox,
    { url, method, headers, ...(text === undefined ? {} : { body: Buffer.from(text) }) },
    signal,
  );
  const { bytes, cut } = method === "HEAD" ? { bytes: Buffer.alloc(0), cut: false } : await readBody(answer, signal);
  answer.close();
  const timing = { ...answer.timing, total: performance.now() - began };
  const media = mediaType(answer.headers["content-type"], bytes);
  const lines = [
    `${method} ${url.href} — ${answer.status} ${answer.statusText}`,
    renderTiming(timing),
    ...Object.entries(answer.headers).map(([name, value]) => `${name}: ${value.slice(0, 1_000)}`),
    "",
  ];
  const data = { status: answer.status, headers: answer.headers, bytes: bytes.length, cut, timing: rounded(timing) };
  const untrusted = isLoopback(url) ? {} : { untrusted: url.origin };
  if (bytes.length > 0 && !isText(media)) {
    const blob = await session.blobs.put(bytes, media.type);
    lines.push(`[${bytes.length.toLocaleString("en")} bytes of ${media.type}, kept as ${storedOutputPath(blob.digest)}]`);
    return { status: "ok", output: lines.join("\n"), data, fullOutput: blob, ...untrusted };
  }
  const body = await recordText(decodeText(bytes, media), session);
  lines.push(body.text, ...(cut ? [`[cut off after ${bytes.length.toLocaleString("en")} bytes]`] : []));
  return {
    status: "ok",
    output: lines.join("\n").trimEnd(),
    data,
    ...(body.fullOutput === undefined ? {} : { fullOutput: body.fullOutput }),
    ...untrusted,
  };
}

/** What the exchange itself decides. */
const OURS: ReadonlySet<string> = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "proxy-authorization",
  "proxy-connection",
  "upgrade",
  "te",
  "trailer",
  "guildhall-timing",
]);

function renderTiming({ dns, connect, tls, first_byte: firstByte, total, address }: Timing): string {
  const parts = { dns, connect, TLS: tls, "first byte": firstByte, total };
  const shown = Object.entries(parts).flatMap(([name, ms]) => (ms === undefined ? [] : [`${name} ${ms.toFixed(1)} ms`]));
  return `[${shown.join(", ")}${address === undefined ? "" : `; ${address}`}]`;
}

function rounded(timing: Timing): Record<string, number | string> {
  return Object.fromEntries(
    Object.entries(timing).map(([name, value]) => [name, typeof value === "number" ? Math.round(value * 10) / 10 : value]),
  );
}

function hostOf(text: string): string {
  return URL.canParse(text) ? new URL(text).host : text.slice(0, 100);
}

function isOwn(text: string): boolean {
  return URL.canParse(text) && isLoopback(new URL(text));
}

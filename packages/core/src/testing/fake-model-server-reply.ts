/** A call that the fake model makes. */
export interface FakeCall {
  tool: string;
  /** An object is sent as JSON; a string is sent as it is, valid JSON or not. */
  args: unknown;
  /** Default: a new one for each call. */
  id?: string;
}

/** What the fake server answers, in no provider's words. */
export interface FakeReply {
  text?: string;
  reasoning?: string;
  calls?: FakeCall[];
  usage?: { input?: number; cached?: number; cacheWrite?: number; output?: number; reasoning?: number };
  /** Default `tool_calls` when there are calls, else `stop`. */
  finish?: "stop" | "tool_calls" | "length" | "content_filter";
  /** Wait before the first byte, milliseconds. */
  delayMs?: number;
  /** Wait between frames, milliseconds; default none, all frames in one write. */
  frameDelayMs?: number;
  /** What follows the first frame of text waits for this. Not together with `frameDelayMs`. */
  heldUntil?: Promise<unknown>;
  /** Into how many frames each text and each call's arguments are split. Default 1. */
  pieces?: number;
  fault?: FakeFault;
}

/** A way in which a server goes wrong. */
export type FakeFault =
  /** An error status with a body in the provider's own error shape, unless `body` is given. */
  | { kind: "status"; status: number; message?: string; code?: string; headers?: Record<string, string>; body?: string }
  /** The connection ends after the first frame of that part; `clean`: by a proper end of the body, else by a reset. */
  | { kind: "cut"; at: "headers" | "start" | "text" | "call" | "finish"; clean?: boolean }
  /** An error frame after the first frame of that part. */
  | { kind: "stream_error"; at: "start" | "text" | "call"; message: string; code?: string }
  /** A success without any bytes. */
  | { kind: "no_body" }
  /** These bytes as the body of a success. */
  | { kind: "body"; body: string | Uint8Array; contentType?: string }
  /** Text deltas without end until this many bytes were sent; `oneLine`: as one frame that never ends. */
  | { kind: "huge"; bytes: number; oneLine?: boolean }
  /** Nothing comes: before the headers, or after the first frame. */
  | { kind: "hang"; at: "headers" | "start" }
  /** A text frame that holds bytes which are no UTF-8. */
  | { kind: "invalid_utf8" };

/** Which part of a reply a frame carries; faults aim by it. */
export type FramePart = "start" | "reasoning" | "text" | "call" | "finish";

export interface Frame {
  part: FramePart;
  /** Complete server-sent event, blank line included. */
  text: string;
}

/** A provider's wire format: how it says a reply, and how it says an error. */
export interface FakeWire {
  readonly name: "openai-chat" | "openai-responses" | "anthropic" | "google";
  matches(path: string): boolean;
  /** Whether the caller asked for a stream. */
  streams(path: string, body: Uint8Array): boolean;
  frames(reply: FakeReply, ids: FakeIds): Frame[];
  /** The whole reply as one JSON value, for callers that asked for no stream. */
  json(reply: FakeReply, ids: FakeIds): unknown;
  /** Body of an error response. */
  error(status: number, message: string, code: string | undefined): unknown;
  /** A frame that reports an error within a stream. */
  errorFrame(message: string, code: string | undefined): string;
  /** Replies of the model that the request's conversation already holds. */
  turns(body: unknown): number;
}

/** Ids that a server gives out: counted, so that a run is repeatable. */
export interface FakeIds {
  reply: string;
  call(): string;
}

/** Arguments as the text that goes over the wire. */
export function argumentText(call: FakeCall): string {
  return typeof call.args === "string" ? call.args : JSON.stringify(call.args ?? {});
}

/** `text` cut into at most `pieces` parts of about the same length; none for an empty text. */
export function split(text: string, pieces: number | undefined): string[] {
  if (text === "") return [];
  const size = Math.max(1, Math.ceil(text.length / (pieces ?? 1)));
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += size) parts.push(text.slice(at, at + size));
  return parts;
}

export interface FakeUsage {
  input: number;
  cached: number;
  cacheWrite: number;
  output: number;
  reasoning: number;
}

export function usageOf(reply: FakeReply): FakeUsage {
  return { input: 100, cached: 0, cacheWrite: 0, output: 10, reasoning: 0, ...reply.usage };
}

export function finishOf(reply: FakeReply): NonNullable<FakeReply["finish"]> {
  return reply.finish ?? ((reply.calls?.length ?? 0) > 0 ? "tool_calls" : "stop");
}

/** Bytes of the request say `"stream": true`, with or without the space. */
export function asksForStream(body: Uint8Array): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return text.includes('"stream":true') || text.includes('"stream": true');
}

/** How many runs of neighbouring entries of `list` (any JSON value) satisfy `test`: a reply that takes several entries counts once. */
export function countRuns(list: unknown, test: (entry: Record<string, unknown>) => boolean): number {
  if (!Array.isArray(list)) return 0;
  let count = 0;
  let within = false;
  for (const entry of list) {
    const holds = typeof entry === "object" && entry !== null && test(entry as Record<string, unknown>);
    if (holds && !within) count++;
    within = holds;
  }
  return count;
}

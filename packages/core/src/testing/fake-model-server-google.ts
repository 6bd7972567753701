import {
  argumentText,
  countRuns,
  finishOf,
  split,
  usageOf,
  type FakeIds,
  type FakeReply,
  type FakeWire,
  type Frame,
  type FramePart,
} from "./fake-model-server-reply.ts";

const FINISH_REASONS = { stop: "STOP", tool_calls: "STOP", length: "MAX_TOKENS", content_filter: "SAFETY" } as const;

/** Gemini's generateContent. Calls carry their arguments as a value: text that is no JSON cannot be said here. */
export const googleWire: FakeWire = {
  name: "google",
  matches: (path) => path.endsWith(":streamGenerateContent") || path.endsWith(":generateContent"),
  streams: (path) => path.includes(":streamGenerateContent"),
  frames,
  json(reply, ids) {
    const parts = partsOf({ ...reply, pieces: 1 }, ids).map(({ value }) => value);
    return {
      candidates: [{ index: 0, content: { role: "model", parts }, finishReason: FINISH_REASONS[finishOf(reply)] }],
      usageMetadata: usage(reply),
    };
  },
  error: (status, message, code) => ({ error: { code: status, message, status: code ?? errorStatus(status) } }),
  errorFrame: (message, code) => event({ error: { code: 503, message, status: code ?? "UNAVAILABLE" } }),
  turns: (body) => countRuns((body as { contents?: unknown }).contents, (content) => content["role"] === "model"),
};

function frames(reply: FakeReply, ids: FakeIds): Frame[] {
  const all: Frame[] = [{ part: "start", text: event({ usageMetadata: { ...usage(reply), candidatesTokenCount: 0 } }) }];
  for (const { part, value } of partsOf(reply, ids)) {
    all.push({ part, text: event({ candidates: [{ index: 0, content: { role: "model", parts: [value] } }] }) });
  }
  const last = { index: 0, content: { role: "model", parts: [{ text: "" }] }, finishReason: FINISH_REASONS[finishOf(reply)] };
  all.push({ part: "finish", text: event({ candidates: [last], usageMetadata: usage(reply) }) });
  return all;
}

function partsOf(reply: FakeReply, ids: FakeIds): Array<{ part: FramePart; value: unknown }> {
  const parts: Array<{ part: FramePart; value: unknown }> = [];
  for (const text of split(reply.reasoning ?? "", reply.pieces)) parts.push({ part: "reasoning", value: { text, thought: true } });
  for (const text of split(reply.text ?? "", reply.pieces)) parts.push({ part: "text", value: { text } });
  for (const call of reply.calls ?? []) {
    const functionCall = { id: call.id ?? ids.call(), name: call.tool, args: JSON.parse(argumentText(call)) as unknown };
    parts.push({ part: "call", value: { functionCall, thoughtSignature: Buffer.from(`signature of ${ids.reply}`).toString("base64") } });
  }
  return parts;
}

function usage(reply: FakeReply): Record<string, number> {
  const used = usageOf(reply);
  return {
    promptTokenCount: used.input,
    cachedContentTokenCount: used.cached,
    candidatesTokenCount: used.output - used.reasoning,
    thoughtsTokenCount: used.reasoning,
    totalTokenCount: used.input + used.output,
  };
}

function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\r\n\r\n`;
}

function errorStatus(status: number): string {
  const names: Record<number, string> = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
  };
  return names[status] ?? (status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT");
}

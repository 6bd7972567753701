import {
  argumentText,
  asksForStream,
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

const STOP_REASONS = { stop: "end_turn", tool_calls: "tool_use", length: "max_tokens", content_filter: "refusal" } as const;

/** Anthropic's messages. */
export const anthropicWire: FakeWire = {
  name: "anthropic",
  matches: (path) => path.endsWith("/messages"),
  streams: (_path, body) => asksForStream(body),
  frames,
  json,
  error: (status, message, code) => ({ type: "error", error: { type: code ?? errorType(status), message } }),
  errorFrame: (message, code) => event("error", { error: { type: code ?? "overloaded_error", message } }),
  turns: (body) => countRuns((body as { messages?: unknown }).messages, (message) => message["role"] === "assistant"),
};

function frames(reply: FakeReply, ids: FakeIds): Frame[] {
  const used = usageOf(reply);
  const message = {
    id: ids.reply,
    type: "message",
    role: "assistant",
    model: "fake",
    content: [],
    stop_reason: null,
    usage: startUsage(reply),
  };
  const all: Frame[] = [{ part: "start", text: event("message_start", { message }) }];
  let index = 0;
  const block = (part: FramePart, start: unknown, deltas: unknown[]): void => {
    const opening = event("content_block_start", { index, content_block: start });
    const texts = deltas.map((delta) => event("content_block_delta", { index, delta }));
    // A block's start and its first delta are one frame, so that a fault after the first frame falls into its content.
    all.push({ part, text: opening + (texts[0] ?? "") });
    for (const text of texts.slice(1)) all.push({ part, text });
    all.push({ part, text: event("content_block_stop", { index }) });
    index++;
  };
  if (reply.reasoning !== undefined) {
    const deltas: unknown[] = split(reply.reasoning, reply.pieces).map((thinking) => ({ type: "thinking_delta", thinking }));
    block("reasoning", { type: "thinking", thinking: "", signature: "" }, [
      ...deltas,
      { type: "signature_delta", signature: `signature of ${ids.reply}` },
    ]);
  }
  if ((reply.text ?? "") !== "") {
    block(
      "text",
      { type: "text", text: "" },
      split(reply.text ?? "", reply.pieces).map((text) => ({ type: "text_delta", text })),
    );
  }
  for (const call of reply.calls ?? []) {
    block(
      "call",
      { type: "tool_use", id: call.id ?? ids.call(), name: call.tool, input: {} },
      split(argumentText(call), reply.pieces).map((partial_json) => ({ type: "input_json_delta", partial_json })),
    );
  }
  const delta = { stop_reason: STOP_REASONS[finishOf(reply)], stop_sequence: null };
  all.push({ part: "finish", text: event("message_delta", { delta, usage: { output_tokens: used.output } }) });
  all.push({ part: "finish", text: event("message_stop", {}) });
  return all;
}

function json(reply: FakeReply, ids: FakeIds): unknown {
  const content: unknown[] = [];
  if (reply.reasoning !== undefined) content.push({ type: "thinking", thinking: reply.reasoning, signature: `signature of ${ids.reply}` });
  if ((reply.text ?? "") !== "") content.push({ type: "text", text: reply.text });
  for (const call of reply.calls ?? []) {
    content.push({ type: "tool_use", id: call.id ?? ids.call(), name: call.tool, input: JSON.parse(argumentText(call)) as unknown });
  }
  return {
    id: ids.reply,
    type: "message",
    role: "assistant",
    model: "fake",
    content,
    stop_reason: STOP_REASONS[finishOf(reply)],
    usage: { ...startUsage(reply), output_tokens: usageOf(reply).output },
  };
}

/** Anthropic counts cached tokens beside the input, not within it. */
function startUsage(reply: FakeReply): Record<string, number> {
  const used = usageOf(reply);
  return {
    input_tokens: used.input - used.cached - used.cacheWrite,
    cache_read_input_tokens: used.cached,
    cache_creation_input_tokens: used.cacheWrite,
    output_tokens: 1,
  };
}

function event(type: string, data: Record<string, unknown>): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

function errorType(status: number): string {
  const types: Record<number, string> = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
  };
  return types[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

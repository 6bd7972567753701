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

/** OpenAI chat completions, as OpenAI, OpenRouter, llama.cpp, Ollama, vLLM and LM Studio speak them. */
export const openaiChatWire: FakeWire = {
  name: "openai-chat",
  matches: (path) => path.endsWith("/chat/completions"),
  streams: (_path, body) => asksForStream(body),
  frames,
  json,
  error: (status, message, code) => ({
    error: { message, type: status === 401 ? "authentication_error" : "api_error", code: code ?? null },
  }),
  errorFrame: (message, code) => `data: ${JSON.stringify({ error: { message, type: "server_error", code: code ?? null } })}\n\n`,
  turns: (body) => countRuns((body as { messages?: unknown }).messages, (message) => message["role"] === "assistant"),
};

function frames(reply: FakeReply, ids: FakeIds): Frame[] {
  const head = { id: ids.reply, object: "chat.completion.chunk", created: 1_700_000_000, model: "fake" };
  const frame = (part: FramePart, delta: unknown, finish: string | null = null): Frame => ({
    part,
    text: `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`,
  });
  const all: Frame[] = [frame("start", { role: "assistant", content: "" })];
  for (const piece of split(reply.reasoning ?? "", reply.pieces)) all.push(frame("reasoning", { reasoning_content: piece }));
  for (const piece of split(reply.text ?? "", reply.pieces)) all.push(frame("text", { content: piece }));
  for (const [index, call] of (reply.calls ?? []).entries()) {
    const [first = "", ...rest] = split(argumentText(call), reply.pieces);
    const id = call.id ?? ids.call();
    all.push(frame("call", { tool_calls: [{ index, id, type: "function", function: { name: call.tool, arguments: first } }] }));
    for (const piece of rest) all.push(frame("call", { tool_calls: [{ index, function: { arguments: piece } }] }));
  }
  all.push(frame("finish", {}, finishOf(reply)));
  all.push({ part: "finish", text: `data: ${JSON.stringify({ ...head, choices: [], usage: usage(reply) })}\n\ndata: [DONE]\n\n` });
  return all;
}

function json(reply: FakeReply, ids: FakeIds): unknown {
  const calls = (reply.calls ?? []).map((call) => ({
    id: call.id ?? ids.call(),
    type: "function",
    function: { name: call.tool, arguments: argumentText(call) },
  }));
  const message = {
    role: "assistant",
    content: reply.text ?? null,
    ...(reply.reasoning === undefined ? {} : { reasoning_content: reply.reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  return {
    id: ids.reply,
    object: "chat.completion",
    created: 1_700_000_000,
    model: "fake",
    choices: [{ index: 0, message, finish_reason: finishOf(reply) }],
    usage: usage(reply),
  };
}

function usage(reply: FakeReply): unknown {
  const used = usageOf(reply);
  return {
    prompt_tokens: used.input,
    completion_tokens: used.output,
    total_tokens: used.input + used.output,
    prompt_tokens_details: { cached_tokens: used.cached },
    completion_tokens_details: { reasoning_tokens: used.reasoning },
  };
}

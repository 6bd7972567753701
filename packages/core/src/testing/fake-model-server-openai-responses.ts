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

/** OpenAI's responses. */
export const openaiResponsesWire: FakeWire = {
  name: "openai-responses",
  matches: (path) => path.endsWith("/responses"),
  streams: (_path, body) => asksForStream(body),
  frames,
  json: (reply, ids) => ({
    ...responseHead(ids),
    status: status(reply),
    output: itemsOf(reply, ids).map(({ item }) => item),
    ...outcome(reply),
  }),
  error: (httpStatus, message, code) => ({
    error: { message, type: httpStatus === 401 ? "authentication_error" : "api_error", param: null, code: code ?? null },
  }),
  errorFrame: (message, code) => event("error", { error: { type: "server_error", code: code ?? "server_error", message, param: null } }),
  turns: (body) =>
    countRuns(
      (body as { input?: unknown }).input,
      (item) => item["role"] === "assistant" || item["type"] === "function_call" || item["type"] === "reasoning",
    ),
};

interface Item {
  part: FramePart;
  /** The item as it is when done. */
  item: Record<string, unknown>;
  /** The item as it is announced. */
  added: Record<string, unknown>;
  deltas: Array<{ type: string; data: Record<string, unknown> }>;
}

function frames(reply: FakeReply, ids: FakeIds): Frame[] {
  const response = { ...responseHead(ids), status: "in_progress" };
  const all: Frame[] = [{ part: "start", text: event("response.created", { response }) + event("response.in_progress", { response }) }];
  for (const [output_index, { part, item, added, deltas }] of itemsOf(reply, ids).entries()) {
    const texts = deltas.map(({ type, data }) => event(type, { item_id: item["id"], output_index, ...data }));
    // The announcement and the first delta are one frame, so that a fault after the first frame falls into the content.
    all.push({ part, text: event("response.output_item.added", { output_index, item: added }) + (texts[0] ?? "") });
    for (const text of texts.slice(1)) all.push({ part, text });
    all.push({ part, text: event("response.output_item.done", { output_index, item }) });
  }
  const type = status(reply) === "completed" ? "response.completed" : "response.incomplete";
  all.push({ part: "finish", text: event(type, { response: { ...responseHead(ids), status: status(reply), ...outcome(reply) } }) });
  return all;
}

function itemsOf(reply: FakeReply, ids: FakeIds): Item[] {
  const items: Item[] = [];
  if (reply.reasoning !== undefined) {
    const head = { type: "reasoning", id: `rs_${ids.reply}`, encrypted_content: `sealed ${ids.reply}` };
    items.push({
      part: "reasoning",
      added: { ...head, summary: [] },
      item: { ...head, summary: [{ type: "summary_text", text: reply.reasoning }] },
      deltas: [
        { type: "response.reasoning_summary_part.added", data: { summary_index: 0, part: { type: "summary_text", text: "" } } },
        ...split(reply.reasoning, reply.pieces).map((delta) => ({
          type: "response.reasoning_summary_text.delta",
          data: { summary_index: 0, delta },
        })),
        { type: "response.reasoning_summary_part.done", data: { summary_index: 0, part: { type: "summary_text", text: reply.reasoning } } },
      ],
    });
  }
  if ((reply.text ?? "") !== "") {
    const head = { type: "message", id: `msg_${ids.reply}`, role: "assistant" };
    items.push({
      part: "text",
      added: { ...head, status: "in_progress", content: [] },
      item: { ...head, status: "completed", content: [{ type: "output_text", text: reply.text, annotations: [] }] },
      deltas: split(reply.text ?? "", reply.pieces).map((delta) => ({
        type: "response.output_text.delta",
        data: { content_index: 0, delta },
      })),
    });
  }
  for (const call of reply.calls ?? []) {
    const call_id = call.id ?? ids.call();
    const head = { type: "function_call", id: `fc_${call_id}`, call_id, name: call.tool };
    items.push({
      part: "call",
      added: { ...head, status: "in_progress", arguments: "" },
      item: { ...head, status: "completed", arguments: argumentText(call) },
      deltas: split(argumentText(call), reply.pieces).map((delta) => ({ type: "response.function_call_arguments.delta", data: { delta } })),
    });
  }
  return items;
}

function responseHead(ids: FakeIds): Record<string, unknown> {
  return { id: `resp_${ids.reply}`, object: "response", created_at: 1_700_000_000, model: "fake" };
}

function status(reply: FakeReply): "completed" | "incomplete" {
  const finish = finishOf(reply);
  return finish === "length" || finish === "content_filter" ? "incomplete" : "completed";
}

function outcome(reply: FakeReply): Record<string, unknown> {
  const used = usageOf(reply);
  const finish = finishOf(reply);
  return {
    incomplete_details:
      finish === "length" ? { reason: "max_output_tokens" } : finish === "content_filter" ? { reason: "content_filter" } : null,
    usage: {
      input_tokens: used.input,
      input_tokens_details: { cached_tokens: used.cached },
      output_tokens: used.output,
      output_tokens_details: { reasoning_tokens: used.reasoning },
      total_tokens: used.input + used.output,
    },
  };
}

function event(type: string, data: Record<string, unknown>): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: 0, ...data })}\n\n`;
}

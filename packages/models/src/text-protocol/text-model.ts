import { type Model, ModelError, type ModelListener, type ModelReply, type ModelRequest } from "@guildhall/core";
import type { PromptMessage, ToolCall } from "@guildhall/protocol";

import { withOwnIds } from "../call-ids.ts";
import { type ParsedText, parseCalls } from "./parse-calls.ts";
import { tagsGrammar } from "./write-grammar.ts";
import { replySchema, type TextForm, writePrompt } from "./write-prompt.ts";

/**
 * A model that cannot call functions as one that can: tools and results are told to it as text, and its calls are read out of what it writes. With the
 * form `json` the server is asked to let it write nothing else. A reply in which something was meant as a call and is none fails as `truncated` or
 * `malformed`, one that says nothing as `empty`: the agent tells the model, and nothing of it is run.
 */
export function textModel(inner: Model, options: { spec: string; form: TextForm }): Model {
  const { form } = options;
  return {
    info: { ...inner.info, spec: options.spec, tools: form === "json" ? "json" : "text" },
    generate: (request, signal, listener) => generateAsText(inner, form, request, signal, listener),
    close: () => inner.close(),
  };
}

/** One call of `inner` by the text protocol. */
export async function generateAsText(
  inner: Model,
  form: TextForm,
  request: ModelRequest,
  signal: AbortSignal,
  listener: ModelListener | undefined,
): Promise<ModelReply> {
  const { tools } = request;
  const asked: ModelRequest = {
    ...request,
    messages: writePrompt(request.messages, tools, form),
    tools: [],
    ...(tools.length === 0 ? {} : form === "json" ? { replySchema: replySchema(tools) } : { replyGrammar: tagsGrammar(tools) }),
  };
  const watched = shown(form, listener);
  const reply = await inner.generate(asked, signal, watched.listener);
  const { text, reasoning, calls, faults } = form === "json" ? readJsonReply(reply.text, tools) : parseCalls(reply.text, tools);
  watched.end(text);
  const [fault] = faults;
  if (fault !== undefined) {
    if (reply.finishReason === "length") {
      throw new ModelError("truncated", "the reply reached the limit of its length within a tool call; nothing of it was run");
    }
    throw new ModelError("malformed", `${fault.message}; nothing of the reply was run`);
  }
  if (text.trim() === "" && calls.length === 0 && reply.toolCalls.length === 0) {
    throw new ModelError("empty", "the reply holds neither text nor a tool call");
  }
  const toolCalls = [...reply.toolCalls, ...identified(calls, request.messages)];
  return {
    ...reply,
    text,
    reasoning: [reply.reasoning, reasoning].filter((part) => part !== "").join("\n\n"),
    toolCalls,
    finishReason: toolCalls.length > 0 ? "tool_calls" : reply.finishReason,
    // It belongs to the text as it was written, which is not what the conversation holds.
    providerData: "",
  };
}

/**
 * The same reply with the calls that a model which does call functions has printed instead, as local servers and templates now and then let it happen.
 * Only whole calls of offered tools count; anything else stays the text that it is.
 */
export function withPrintedCalls(reply: ModelReply, request: ModelRequest): ModelReply {
  if (reply.toolCalls.length > 0 || request.tools.length === 0 || reply.text === "") return reply;
  const { text, reasoning, calls, faults } = parseCalls(reply.text, request.tools);
  const offered = new Set(request.tools.map((tool) => tool.name));
  const usable = calls.length > 0 && faults.length === 0 && calls.every((call) => offered.has(call.tool) && isObject(call.arguments));
  if (!usable) return reply;
  return {
    ...reply,
    text,
    reasoning: [reply.reasoning, reasoning].filter((part) => part !== "").join("\n\n"),
    toolCalls: identified(calls, request.messages),
    finishReason: "tool_calls",
    providerData: "",
  };
}

/** Ids that follow from the conversation alone. */
function identified(calls: ParsedText["calls"], messages: readonly PromptMessage[]): ToolCall[] {
  const replies = messages.filter((message) => message.toolCalls.length > 0).length;
  const named = calls.map((call, index): ToolCall => ({
    masked: false,
    $typeName: "guildhall.v1.ToolCall",
    callId: `text_${replies + 1}_${index + 1}`,
    ...call,
  }));
  return withOwnIds(named, [...messages], (call, time) => `${call.callId}_${time}`);
}

/** The reply that the schema demands; a server that does not enforce it may have let anything through. */
function readJsonReply(text: string, tools: ModelRequest["tools"]): ParsedText {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return parseCalls(text, tools);
  }
  const { say, calls } = (typeof value === "object" && value !== null ? value : {}) as { say?: unknown; calls?: unknown };
  if (typeof say !== "string" || !Array.isArray(calls)) return parseCalls(text, tools);
  const named = calls as Array<{ tool?: unknown; arguments?: unknown }>;
  if (!named.every((call) => typeof call?.tool === "string")) {
    return { text: say, reasoning: "", calls: [], faults: [{ kind: "unreadable", message: "a tool call in it could not be read" }] };
  }
  const argumentsOf = (given: unknown): string => (typeof given === "string" ? given : JSON.stringify(given ?? {}));
  return {
    text: say,
    reasoning: "",
    calls: named.map((call) => ({ tool: String(call.tool), arguments: argumentsOf(call.arguments) })),
    faults: [],
  };
}

/** People are shown what is said; calls come to them as actions. `end` shows what was held back, or in the form `json` what was said. */
function shown(form: TextForm, listener: ModelListener | undefined): { listener: ModelListener | undefined; end(said: string): void } {
  if (listener?.text === undefined) return { listener, end: () => undefined };
  const show = (text: string): void => void (text !== "" && listener.text?.(text));
  if (form === "json") return { listener: { ...listener, text: () => undefined }, end: show };
  let held = "";
  let calling = false;
  const text = (delta: string): void => {
    if (calling) return;
    held += delta;
    const mark = held.search(/<(?:call|tool_call|function|invoke)|\[TOOL_CALLS\]|<\|/);
    if (mark !== -1) {
      calling = true;
      held = held.slice(0, mark);
    }
    // What may be the beginning of a mark waits for the rest of it.
    const opening = calling ? -1 : held.slice(-LONGEST_MARK).search(/[<[]/);
    const safe = opening === -1 ? held.length : Math.max(0, held.length - LONGEST_MARK) + opening;
    show(held.slice(0, safe));
    held = held.slice(safe);
  };
  return { listener: { ...listener, text }, end: () => show(held) };
}

const LONGEST_MARK = 12;

function isObject(text: string): boolean {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

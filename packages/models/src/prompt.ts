import type {
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ReasoningPart,
  LanguageModelV4TextPart,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolResultPart,
  SharedV4ProviderOptions,
} from "@ai-sdk/provider";
import { type PromptMessage, PromptRole, type ToolCall, type ToolSchema } from "@guildhall/protocol";

import { readProviderData } from "./provider-data.ts";
import { unseenPictures } from "./unseen-pictures.ts";

/** What differs between providers in how a conversation is said to them. */
export interface Dialect {
  /** The vendor whose provider data may be sent back. */
  vendor: string;
  /** Old calls' arguments: as the text that the model wrote, or as a value. */
  arguments: "text" | "value";
  /** Reasoning goes back only with the data that the provider sealed it with, or as it is. */
  reasoning: "sealed" | "plain";
  /** What marks a message as the end of a cacheable beginning; undefined: the provider knows no marks. */
  cacheMark: SharedV4ProviderOptions | undefined;
  /** Pictures of an observation: within it, in a message of their own after it, or not at all. */
  images: "result" | "message" | "none";
}

/** Bytes of pictures by digest. */
export type Images = ReadonlyMap<string, Uint8Array>;

/** What providers take. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** Anthropic takes no more marks than this in one request. */
const MOST_CACHE_MARKS = 4;

interface PicturePart {
  type: "file";
  data: { type: "data"; data: Uint8Array };
  mediaType: string;
}

type AssistantPart = LanguageModelV4TextPart | LanguageModelV4ReasoningPart | LanguageModelV4ToolCallPart;

/**
 * The conversation as the provider packages take it. Results of neighbouring calls become one message; what a provider would refuse (empty texts,
 * calls whose arguments are no JSON object) is put into a form that every provider takes.
 */
export function toPrompt(messages: PromptMessage[], dialect: Dialect, images: Images = new Map()): LanguageModelV4Prompt {
  const prompt: LanguageModelV4Prompt = [];
  let shown: PicturePart[] = [];
  const marked = dialect.cacheMark === undefined ? new Set<PromptMessage>() : marks(messages);
  for (const message of messages) {
    if (message.role !== PromptRole.TOOL && shown.length > 0) {
      prompt.push({ role: "user", content: [{ type: "text", text: "The pictures of these results:" }, ...shown] });
      shown = [];
    }
    const options = marked.has(message) && dialect.cacheMark !== undefined ? { providerOptions: dialect.cacheMark } : {};
    switch (message.role) {
      case PromptRole.SYSTEM:
        if (message.text.trim() !== "") prompt.push({ role: "system", content: message.text, ...options });
        break;
      case PromptRole.ASSISTANT: {
        const content = assistantParts(message, dialect);
        if (content.length > 0) prompt.push({ role: "assistant", content, ...options });
        break;
      }
      case PromptRole.TOOL: {
        const unfit = dialect.images === "none" || (dialect.images === "result" && message.isError);
        const pictures = unfit ? [] : picturesOf(message, images);
        addResult(prompt, { ...toolResult(message, dialect, pictures), ...options });
        if (dialect.images === "message") shown.push(...pictures);
        break;
      }
      default:
        // On the part as well as the message: packages differ in which of them they read.
        prompt.push({ role: "user", content: [{ type: "text", text: message.text.trim() === "" ? "(empty)" : message.text, ...options }] });
    }
  }
  if (shown.length > 0) prompt.push({ role: "user", content: [{ type: "text", text: "The pictures of these results:" }, ...shown] });
  return prompt;
}

function picturesOf(message: PromptMessage, images: Images): PicturePart[] {
  return message.images.flatMap(({ digest, mediaType }) => {
    const data = images.get(digest);
    return data === undefined || !PICTURES.has(mediaType)
      ? []
      : [{ type: "file" as const, data: { type: "data" as const, data }, mediaType }];
  });
}

/** Tools as the provider packages take them. The schema texts come from zod and are valid JSON. */
export function toTools(tools: ToolSchema[]): LanguageModelV4FunctionTool[] {
  return tools.map((tool) => ({
    type: "function",
    name: tool.name,
    description: tool.description,
    inputSchema: JSON.parse(tool.schema) as Record<string, unknown>,
  }));
}

/** A call's arguments as an object, whatever the model wrote: what is none is wrapped, so that the model sees what it did. */
export function argumentObject(text: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : { not_an_object: value };
  } catch {
    return { invalid_json: text };
  }
}

/** The first mark and the last ones, where there are more than providers take. */
function marks(messages: PromptMessage[]): Set<PromptMessage> {
  const all = messages.filter((message) => message.cache);
  return new Set(all.length <= MOST_CACHE_MARKS ? all : [...all.slice(0, 1), ...all.slice(1 - MOST_CACHE_MARKS)]);
}

function assistantParts(message: PromptMessage, dialect: Dialect): AssistantPart[] {
  const data = readProviderData(message, dialect.vendor);
  if (data.kind === "parts") {
    return data.parts.flatMap((part): AssistantPart[] => {
      const options = part.metadata === undefined ? {} : { providerOptions: part.metadata as SharedV4ProviderOptions };
      if (part.type === "call") return [{ ...toolCall(part.call, dialect), ...options }];
      if (part.type === "reasoning") return [{ type: "reasoning", text: part.text, ...options }];
      return part.text.trim() === "" ? [] : [{ type: "text", text: part.text, ...options }];
    });
  }
  const parts: AssistantPart[] = [];
  if (message.reasoning !== "" && dialect.reasoning === "plain" && data.kind === "none")
    parts.push({ type: "reasoning", text: message.reasoning });
  if (message.text.trim() !== "") parts.push({ type: "text", text: message.text });
  for (const call of message.toolCalls) parts.push(toolCall(call, dialect));
  // A message that only thought is empty to servers of this form, and refused.
  return parts.every((part) => part.type === "reasoning") ? [] : parts;
}

/** Names that the provider packages refuse to read in a text of arguments: they would send it as a text within a text. */
const REFUSED_NAMES = /__proto__|constructor|\\u00[5-7]/i;

function toolCall(call: ToolCall, dialect: Dialect): LanguageModelV4ToolCallPart {
  const input = argumentObject(call.arguments);
  const asWritten =
    dialect.arguments === "text" &&
    call.arguments.trim() !== "" &&
    !("invalid_json" in input) &&
    !("not_an_object" in input) &&
    !REFUSED_NAMES.test(call.arguments);
  return { type: "tool-call", toolCallId: call.callId, toolName: call.tool, input: asWritten ? call.arguments : input };
}

/** `shown`: pictures that the model is shown, here or in a message of their own. */
function toolResult(message: PromptMessage, dialect: Dialect, shown: readonly PicturePart[]): LanguageModelV4ToolResultPart {
  const pictures = dialect.images === "result" ? shown : [];
  const missing = message.images.length - shown.length;
  const remark = unseenPictures(missing, dialect.images === "none");
  const value = (message.text === "" ? "(no output)" : message.text) + remark;
  const result = { type: "tool-result" as const, toolCallId: message.callId, toolName: message.tool };
  if (pictures.length > 0 && !message.isError)
    return { ...result, output: { type: "content", value: [{ type: "text", text: value }, ...pictures] } };
  return { ...result, output: { type: message.isError ? "error-text" : "text", value } };
}

function addResult(prompt: LanguageModelV4Prompt, part: LanguageModelV4ToolResultPart): void {
  const last: LanguageModelV4Message | undefined = prompt.at(-1);
  if (last?.role === "tool") last.content.push(part);
  else prompt.push({ role: "tool", content: [part] });
}

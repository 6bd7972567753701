import type { LanguageModelV4FinishReason, LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import { ModelError, type ModelListener, type ModelReply } from "@guildhall/core";
import type { ToolCall } from "@guildhall/protocol";

import { type ReplyPart, writeProviderData } from "./provider-data.ts";

/** Characters of one reply: text, reasoning and arguments together. */
const MOST_REPLY_CHARACTERS = 4 * 1024 * 1024;

/** What a stream came to when it ended by itself. */
export interface CollectedReply {
  text: string;
  reasoning: string;
  toolCalls: ToolCall[];
  finishReason: ModelReply["finishReason"];
  providerData: string;
  usage: LanguageModelV4Usage | undefined;
}

/** Thrown while collecting: what the stream reported, and whether anything of the reply had come. */
export class StreamFault extends Error {
  override readonly name = "StreamFault";
  readonly begun: boolean;

  constructor(cause: unknown, begun: boolean) {
    super("the stream failed", { cause });
    this.begun = begun;
  }
}

interface Block {
  type: "text" | "reasoning";
  chunks: string[];
  metadata: Record<string, unknown> | undefined;
}

/**
 * Reads a provider's stream to its end and judges it. Throws StreamFault for what the stream reports or lacks, and ModelError for a whole reply that is of
 * no use: `empty`, `truncated` (the limit fell into a call), `too_large`. Invalid arguments are kept as they are.
 */
export async function collectReply(
  stream: ReadableStream<LanguageModelV4StreamPart>,
  vendor: string,
  listener: ModelListener | undefined,
): Promise<CollectedReply> {
  const parts: Array<Block | ReplyPart> = [];
  const open = new Map<string, Block>();
  let size = 0;
  let begun = false;
  let reported: unknown;
  let finish: LanguageModelV4FinishReason | undefined;
  let usage: LanguageModelV4Usage | undefined;
  const grow = (delta: string): void => {
    begun = true;
    size += delta.length;
    if (size > MOST_REPLY_CHARACTERS) throw new ModelError("too_large", `the reply is longer than ${MOST_REPLY_CHARACTERS} characters`);
  };
  const blockOf = (type: Block["type"], id: string): Block => {
    let block = open.get(type + id);
    if (block === undefined) {
      block = { type, chunks: [], metadata: undefined };
      open.set(type + id, block);
      parts.push(block);
    }
    return block;
  };
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value: part } = await reader.read();
      if (done) break;
      switch (part.type) {
        case "text-start":
        case "text-delta":
        case "text-end":
        case "reasoning-start":
        case "reasoning-delta":
        case "reasoning-end": {
          const type = part.type.startsWith("text") ? "text" : "reasoning";
          const block = blockOf(type, part.id);
          if (part.providerMetadata !== undefined) block.metadata = merged(block.metadata, part.providerMetadata);
          if ("delta" in part && part.delta !== "") {
            grow(part.delta);
            block.chunks.push(part.delta);
            if (type === "text") listener?.text?.(part.delta);
            else listener?.reasoning?.(part.delta);
          }
          // Some services use an id again for a later block.
          if (part.type.endsWith("-end")) open.delete(type + part.id);
          break;
        }
        case "tool-input-start":
          begun = true;
          break;
        case "tool-input-delta":
          grow(part.delta);
          break;
        case "tool-call": {
          begun = true;
          const call: ToolCall = {
            $typeName: "guildhall.v1.ToolCall",
            callId: part.toolCallId,
            tool: part.toolName,
            arguments: part.input,
            masked: false,
          };
          const metadata = part.providerMetadata === undefined ? undefined : merged(undefined, part.providerMetadata);
          parts.push({ type: "call", call, ...(metadata === undefined ? {} : { metadata }) });
          break;
        }
        case "finish":
          finish = part.finishReason;
          usage = part.usage;
          break;
        case "error":
          reported ??= part.error;
          break;
        default:
          break;
      }
    }
  } catch (error) {
    // The rest is of no use to anybody: the connection is given up.
    await reader.cancel(error).catch(() => undefined);
    throw error instanceof ModelError ? error : new StreamFault(error, begun);
  }
  if (reported !== undefined) throw new StreamFault(reported, begun);
  if (finish === undefined || isInterruption(finish)) throw new StreamFault(new Error("the stream ended without a finish reason"), begun);
  return judged(parts.map(closed), finish, usage, vendor);
}

function judged(
  parts: ReplyPart[],
  finish: LanguageModelV4FinishReason,
  usage: LanguageModelV4Usage | undefined,
  vendor: string,
): CollectedReply {
  const join = (type: "text" | "reasoning"): string => parts.map((part) => (part.type === type ? part.text : "")).join("");
  const text = join("text");
  const toolCalls = parts.flatMap((part) => (part.type === "call" ? [part.call] : []));
  const finishReason = reasonOf(finish, toolCalls.length > 0);
  if (finishReason === "length" && toolCalls.length > 0 && !isJson(toolCalls.at(-1)?.arguments ?? "")) {
    throw new ModelError("truncated", "the reply reached the limit of its length within a tool call; nothing of it was run", {
      remedy: "ask for less at once, or raise the limit of the reply's length",
    });
  }
  if (text.trim() === "" && toolCalls.length === 0) {
    if (finishReason === "length")
      throw new ModelError("truncated", "the reply reached the limit of its length before it said anything", {
        remedy: "raise the limit of the reply's length",
      });
    if (finishReason === "content_filter")
      throw new ModelError("other", "the provider's content filter held the reply back", {
        remedy: "say it in other words, or take another model",
      });
    throw new ModelError("empty", "the reply holds neither text nor a tool call");
  }
  return {
    text,
    reasoning: join("reasoning"),
    toolCalls,
    finishReason,
    providerData: writeProviderData(vendor, parts.filter(isKept)),
    usage,
  };
}

/** Empty texts are left out; empty reasoning may carry sealed data. */
function isKept(part: ReplyPart): boolean {
  return part.type === "call" || part.text !== "" || (part.type === "reasoning" && part.metadata !== undefined);
}

function closed(part: Block | ReplyPart): ReplyPart {
  if (!("chunks" in part)) return part;
  const text = part.chunks.join("");
  return part.metadata === undefined ? { type: part.type, text } : { type: part.type, text, metadata: part.metadata };
}

/** Metadata comes in pieces, by provider name; null and empty values say nothing. */
function merged(before: Record<string, unknown> | undefined, metadata: Record<string, unknown>): Record<string, unknown> | undefined {
  const all: Record<string, unknown> = { ...before };
  for (const [name, values] of Object.entries(metadata)) {
    if (typeof values !== "object" || values === null) continue;
    const told = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
    if (told.length > 0) all[name] = { ...(all[name] as Record<string, unknown> | undefined), ...Object.fromEntries(told) };
  }
  return Object.keys(all).length === 0 ? undefined : all;
}

/** The packages' ways to say that a stream ended without the service's word for it. */
function isInterruption(finish: LanguageModelV4FinishReason): boolean {
  return finish.unified === "interrupted" || finish.unified === "error";
}

function reasonOf(finish: LanguageModelV4FinishReason, calls: boolean): ModelReply["finishReason"] {
  switch (finish.unified) {
    case "length":
      return "length";
    case "content-filter":
      return "content_filter";
    case "stop":
    case "tool-calls":
      return calls ? "tool_calls" : "stop";
    default:
      return "other";
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

import type { PromptMessage, ToolCall } from "@guildhall/protocol";

/** One piece of a reply, in the order in which the model made it. */
export type ReplyPart =
  | { type: "text" | "reasoning"; text: string; metadata?: Record<string, unknown> }
  | { type: "call"; call: ToolCall; metadata?: Record<string, unknown> };

/** `parts`: the reply as its provider made it; `foreign`: made by another provider, or changed since; `none`: the provider needs nothing back. */
export type ProviderData = { kind: "parts"; parts: ReplyPart[] } | { kind: "foreign" } | { kind: "none" };

/**
 * What `provider_data` holds: order and boundaries of the parts (lengths in UTF-16 units of the joined texts, positions in the list of calls) and the
 * metadata that the provider wants back with each: signatures, item ids, sealed reasoning. The texts themselves are in the message.
 */
interface Stored {
  vendor: string;
  parts: Array<[type: "t" | "r" | "c", extent: number, metadata?: Record<string, unknown>]>;
}

const LETTERS = { text: "t", reasoning: "r", call: "c" } as const;

/** JSON for `provider_data`, or an empty text when the provider needs nothing back: reasoning, then text, then calls, none with metadata. */
export function writeProviderData(vendor: string, parts: ReplyPart[]): string {
  const plain = parts.every((part) => part.metadata === undefined);
  const order = parts.map((part) => LETTERS[part.type]).join("");
  if (plain && /^r?t?c*$/.test(order)) return "";
  let calls = 0;
  const stored: Stored = {
    vendor,
    parts: parts.map((part) => {
      const extent = part.type === "call" ? calls++ : part.text.length;
      return part.metadata === undefined ? [LETTERS[part.type], extent] : [LETTERS[part.type], extent, part.metadata];
    }),
  };
  return JSON.stringify(stored);
}

/** Puts a message together again from its texts and its provider data. Texts that were changed since (masked) no longer fit their signatures: `foreign`. */
export function readProviderData(message: PromptMessage, vendor: string): ProviderData {
  if (message.providerData === "") return { kind: "none" };
  const stored = parse(message.providerData);
  if (stored === undefined || stored.vendor !== vendor) return { kind: "foreign" };
  const parts: ReplyPart[] = [];
  let text = 0;
  let reasoning = 0;
  let calls = 0;
  for (const [letter, extent, metadata] of stored.parts) {
    const extra = metadata === undefined ? {} : { metadata };
    if (letter === "t") parts.push({ type: "text", text: message.text.slice(text, (text += extent)), ...extra });
    else if (letter === "r") parts.push({ type: "reasoning", text: message.reasoning.slice(reasoning, (reasoning += extent)), ...extra });
    else {
      const call = message.toolCalls[extent];
      if (call === undefined) return { kind: "foreign" };
      calls++;
      parts.push({ type: "call", call, ...extra });
    }
  }
  const whole = text === message.text.length && reasoning === message.reasoning.length && calls === message.toolCalls.length;
  return whole ? { kind: "parts", parts } : { kind: "foreign" };
}

function parse(text: string): Stored | undefined {
  try {
    const value = JSON.parse(text) as Partial<Stored> | null;
    return typeof value?.vendor === "string" && Array.isArray(value.parts) ? (value as Stored) : undefined;
  } catch {
    return undefined;
  }
}

import { GuildError } from "@guildhall/core";

/** A message of JSON-RPC 2.0, as it arrived. */
export interface RpcMessage {
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

/** Larger messages are taken for garbage, bytes. */
const LARGEST = 64 * 1024 * 1024;
const HEADER_END = Buffer.from("\r\n\r\n");

/** A message with the header of the base protocol. */
export function frame(message: Record<string, unknown>): Uint8Array {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
}

/** Splits bytes into messages (base protocol of LSP 3.17). Throws `corrupt` for what is none: nothing after it can be trusted. */
export class MessageStream {
  #chunks: Buffer[] = [];
  #size = 0;
  /** Bytes that are needed before anything can be read. */
  #wanted = 0;

  push(bytes: Uint8Array): RpcMessage[] {
    this.#chunks.push(Buffer.from(bytes));
    this.#size += bytes.length;
    if (this.#size < this.#wanted) return [];
    let rest = Buffer.concat(this.#chunks);
    const messages: RpcMessage[] = [];
    this.#wanted = 0;
    for (;;) {
      const end = rest.indexOf(HEADER_END);
      if (end === -1) {
        if (rest.length > 8_192) throw garbage("a header without an end");
        break;
      }
      const length = Number(/content-length: *(\d+)/i.exec(rest.subarray(0, end).toString("latin1"))?.[1]);
      if (!Number.isInteger(length) || length > LARGEST) throw garbage("a header without a length");
      const from = end + HEADER_END.length;
      if (rest.length < from + length) {
        this.#wanted = from + length;
        break;
      }
      messages.push(parsed(rest.subarray(from, from + length).toString("utf8")));
      rest = rest.subarray(from + length);
    }
    this.#chunks = [rest];
    this.#size = rest.length;
    return messages;
  }
}

function parsed(text: string): RpcMessage {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // said below
  }
  throw garbage("what is no JSON");
}

function garbage(what: string): GuildError {
  return new GuildError("corrupt", `the language server sent ${what}`);
}

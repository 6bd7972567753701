import { GuildError } from "@guildhall/core";
import { z } from "zod";

/**
 * What host and driver say to each other: each message is its length in bytes in decimal, a line feed, and so many bytes of JSON. Requests go to the driver's
 * standard input, replies come from its descriptor 3. At the end of each request the driver writes the mark to standard output and standard error, so that the
 * host knows what was printed before it.
 */
export interface ReplRequest {
  id: number;
  code: string;
  /** Stops the request under way; only for drivers that take no signal. */
  interrupt?: true;
}

const replySchema = z.object({
  id: z.int(),
  status: z.enum(["ok", "error", "interrupted"]),
  /** The last expression's value as text; absent: there is none to show. */
  value: z.string().optional(),
  error: z.string().optional(),
  displays: z.array(z.object({ mime: z.string(), data: z.string() })).default([]),
});

export type ReplReply = z.output<typeof replySchema>;

/** Longest message taken from a driver: what runs in it can write to its channel. */
const LONGEST = 64 * 1024 * 1024;

export function encodeMessage(message: ReplRequest): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  return Buffer.concat([Buffer.from(`${json.length}\n`), json]);
}

/** Takes messages out of a byte stream. Throws `internal` for what is none: then the stream is of no more use. */
export class ReplyReader {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Uint8Array): ReplReply[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const replies: ReplReply[] = [];
    for (;;) {
      const line = this.#rest.indexOf(10);
      if (line < 0) {
        if (this.#rest.length > 12) throw unreadable();
        return replies;
      }
      const length = Number(this.#rest.subarray(0, line).toString());
      if (!Number.isInteger(length) || length < 0 || length > LONGEST) throw unreadable();
      if (this.#rest.length < line + 1 + length) return replies;
      replies.push(parse(this.#rest.subarray(line + 1, line + 1 + length).toString()));
      this.#rest = this.#rest.subarray(line + 1 + length);
    }
  }
}

function parse(text: string): ReplReply {
  try {
    return replySchema.parse(JSON.parse(text));
  } catch (error) {
    throw unreadable(error);
  }
}

function unreadable(cause?: unknown): GuildError {
  return new GuildError("internal", "something else than the driver wrote to its channel", { cause });
}

/** Passes a stream through up to each mark; holds back what may be the beginning of one. */
export class MarkedStream {
  readonly #mark: Buffer;
  #rest: Buffer = Buffer.alloc(0);
  /** Marks seen. */
  marks = 0;

  constructor(mark: string) {
    this.#mark = Buffer.from(mark);
  }

  /** What is no mark. */
  push(bytes: Uint8Array): Buffer[] {
    let buffer =
      this.#rest.length === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : Buffer.concat([this.#rest, bytes]);
    const parts: Buffer[] = [];
    for (let at = buffer.indexOf(this.#mark); at >= 0; at = buffer.indexOf(this.#mark)) {
      this.marks += 1;
      if (at > 0) parts.push(buffer.subarray(0, at));
      buffer = buffer.subarray(at + this.#mark.length);
    }
    const held = this.#heldBytes(buffer);
    if (buffer.length > held) parts.push(buffer.subarray(0, buffer.length - held));
    this.#rest = Buffer.from(buffer.subarray(buffer.length - held));
    return parts;
  }

  #heldBytes(buffer: Buffer): number {
    for (let length = Math.min(this.#mark.length - 1, buffer.length); length > 0; length -= 1) {
      if (buffer.subarray(buffer.length - length).equals(this.#mark.subarray(0, length))) return length;
    }
    return 0;
  }
}

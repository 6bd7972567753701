import { setImmediate as immediate } from "node:timers/promises";

import { type Execution, GuildError, type Sandbox } from "@guildhall/core";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";

import { oneLine } from "../foreign/line.ts";

export interface SandboxTransportOptions {
  sandbox: Sandbox;
  argv: [string, ...string[]];
  cwd?: string;
  env: Record<string, string>;
  /** Bytes of one message; default 16 MiB. */
  messageBytes?: number;
  /** Notifications and requests that the server may send in one second; default 500. */
  messagesPerSecond?: number;
}

/** What of the standard error is kept for whoever asks why a server ended, characters. */
const WORDS = 2_000;

/**
 * Speaks to an MCP server that runs inside a sandbox, a JSON message a line. A server that writes what is no message, one that is too large, or too
 * many, is ended; `fault` then says why. Implements the SDK's transport.
 */
export class SandboxTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #options: SandboxTransportOptions;
  #execution: Execution | undefined;
  #words = "";
  #fault: string | undefined;
  #ended: Promise<void> | undefined;
  #closing = false;

  constructor(options: SandboxTransportOptions) {
    this.#options = options;
  }

  /** Why the server is gone, in words, with the end of what it wrote to its standard error; undefined while all is well. */
  get fault(): string | undefined {
    if (this.#fault === undefined) return undefined;
    const words = oneLine(this.#words.slice(-400), 300);
    return words === "" ? this.#fault : `${this.#fault}; its last words: ${words}`;
  }

  /** Throws `not_found` when there is no such program in the sandbox. */
  async start(): Promise<void> {
    const { sandbox, argv, cwd, env } = this.#options;
    this.#execution = await sandbox.exec({
      argv,
      env,
      ...(cwd === undefined ? {} : { cwd }),
      input: true,
      // It lives as long as its session; limits of time are for the calls.
      limits: { wallSeconds: 0, cpuSeconds: 0 },
    });
    this.#ended = this.#read(this.#execution);
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const execution = this.#execution;
    if (execution === undefined || this.#fault !== undefined)
      throw new GuildError("unavailable", this.fault ?? "the server is not running");
    await execution.write(Buffer.from(`${JSON.stringify(message)}\n`));
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#execution?.close();
    await this.#ended;
  }

  async #read(execution: Execution): Promise<void> {
    const lines = new MessageLines(this.#options.messageBytes ?? 16 * 1024 * 1024);
    const rate = new Rate(this.#options.messagesPerSecond ?? 500);
    try {
      for await (const { stream, bytes } of execution.output) {
        if (stream === "stderr") {
          this.#words = `${this.#words}${Buffer.from(bytes).toString("utf8")}`.slice(-WORDS);
          continue;
        }
        for (const line of lines.push(bytes)) {
          const message = readMessage(line);
          if ("method" in message && !rate.admit()) throw new GuildError("resource_exhausted", "it floods us with messages");
          this.onmessage?.(message);
          // A notification is handled a moment later: the answer that follows in the same breath is not to overtake it.
          if ("method" in message) await immediate();
        }
      }
      const { code, signal, limit } = await execution.exit;
      this.#fault ??= `it ended (${limit === undefined ? (signal ?? `exit code ${code}`) : `limit ${limit}`})`;
    } catch (error) {
      this.#fault ??= GuildError.from(error).message;
      if (!this.#closing) this.onerror?.(GuildError.from(error));
      await execution.close();
    }
    this.onclose?.();
  }
}

function readMessage(line: string): JSONRPCMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // The text below says what came instead.
  }
  if (typeof value !== "object" || value === null || !("jsonrpc" in value)) {
    throw new GuildError("invalid_argument", `it wrote what is no message of the protocol: ${oneLine(line, 120)}`);
  }
  return value as JSONRPCMessage;
}

/** Lines of a byte stream, each of at most `most` bytes. */
class MessageLines {
  readonly #most: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  *push(bytes: Uint8Array): Iterable<string> {
    let from = 0;
    for (let end = bytes.indexOf(10, from); end >= 0; end = bytes.indexOf(10, from)) {
      this.#add(bytes.subarray(from, end));
      const line = Buffer.concat(this.#parts).toString("utf8").trim();
      this.#parts = [];
      this.#size = 0;
      from = end + 1;
      if (line !== "") yield line;
    }
    this.#add(bytes.subarray(from));
  }

  #add(part: Uint8Array): void {
    this.#size += part.length;
    if (this.#size > this.#most) throw new GuildError("resource_exhausted", `it wrote a message of more than ${this.#most} bytes`);
    // A copy: the connection reuses what it reads into.
    if (part.length > 0) this.#parts.push(Uint8Array.from(part));
  }
}

/** At most so many in a second. */
class Rate {
  readonly #most: number;
  #second = 0;
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  admit(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) this.#count = 0;
    this.#second = second;
    this.#count += 1;
    return this.#count <= this.#most;
  }
}

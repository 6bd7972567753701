import { type BlobStore, GuildError, type Masker } from "@guildhall/core";
import type { BlobRef } from "@guildhall/protocol";

import { headOf, join, tailOf } from "../bounded-text.ts";
import { storedOutputPath } from "./stored-output.ts";
import { TerminalText } from "./terminal-text.ts";

/** What is kept of an output for the observation; what is longer goes whole to the blob store. */
const HEAD = 8_000;
const TAIL = 8_000;

export interface RecorderOptions {
  blobs: BlobStore;
  masker?: Masker | undefined;
}

/** Output as an observation shows it. */
export interface RecordedOutput {
  text: string;
  /** `text` is head and tail only. */
  truncated: boolean;
  /** Bytes that were printed. */
  bytes: number;
  /** The whole output as clean, masked text, when `text` is not. */
  fullOutput?: BlobRef;
}

/**
 * Records what a process prints, one part (one call) after the other: cleaned, masked, its head and tail kept, and a part that is longer
 * streamed to the blob store while it comes. Memory is bounded; `write` resolves late when the store is slower than the process.
 */
export class OutputRecorder {
  readonly #options: RecorderOptions;
  readonly #text = new TerminalText();
  readonly #masking: ReturnType<Masker["stream"]> | undefined;
  #part: Part;
  /** Called with text as it comes, for people who watch. */
  onText: ((text: string) => void) | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#masking = options.masker?.stream();
    this.#part = new Part(options.blobs);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#part.bytes += bytes.length;
    await this.#add(this.#text.push(bytes));
  }

  /** Bytes of the part under way. */
  get bytes(): number {
    return this.#part.bytes;
  }

  /** Ends the part under way and begins the next. `last`: nothing more of it comes. */
  async take(last: boolean): Promise<RecordedOutput> {
    await this.#add(last ? this.#text.end() : this.#text.flush());
    if (last && this.#masking !== undefined) await this.#give(this.#masking.end());
    const part = this.#part;
    this.#part = new Part(this.#options.blobs);
    return part.end();
  }

  async #add(text: string): Promise<void> {
    await this.#give(text === "" || this.#masking === undefined ? text : this.#masking.push(text));
  }

  async #give(text: string): Promise<void> {
    if (text === "") return;
    this.onText?.(text);
    await this.#part.add(text);
  }
}

/** One part of an output, as text. */
class Part {
  bytes = 0;
  readonly #blobs: BlobStore;
  #length = 0;
  /** The whole, until it is too long; then the head. */
  #head = "";
  #tail = "";
  #stored: BlobWriter | undefined;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  async add(text: string): Promise<void> {
    this.#length += text.length;
    if (this.#stored === undefined) {
      this.#head += text;
      if (this.#length <= HEAD + TAIL) return;
      this.#stored = new BlobWriter(this.#blobs);
      const whole = this.#head;
      this.#tail = whole.slice(-2 * TAIL);
      this.#head = headOf(whole, HEAD);
      await this.#stored.write(whole);
      return;
    }
    this.#tail = (this.#tail + (text.length > 2 * TAIL ? text.slice(-2 * TAIL) : text)).slice(-2 * TAIL);
    await this.#stored.write(text);
  }

  async end(): Promise<RecordedOutput> {
    if (this.#stored === undefined) return { text: this.#head, truncated: false, bytes: this.bytes };
    const stored = await this.#stored.end();
    const tail = tailOf(this.#tail, Math.min(TAIL, this.#length - this.#head.length));
    const missing = this.#length - this.#head.length - tail.length;
    const advice =
      "ref" in stored
        ? `the whole: edit view with path ${storedOutputPath(stored.ref.digest)} and view_range`
        : `the whole could not be kept: ${stored.problem}`;
    const output: RecordedOutput = { text: join(this.#head, tail, missing, advice), truncated: true, bytes: this.bytes };
    if ("ref" in stored) output.fullOutput = stored.ref;
    return output;
  }
}

/** Text on its way into the blob store; holds at most a few pieces. */
class BlobWriter {
  readonly #result: Promise<{ ref: BlobRef } | { problem: string }>;
  #pieces: string[] = [];
  #ended = false;
  #over = false;
  #more = Promise.withResolvers<void>();
  #room = Promise.withResolvers<void>();

  constructor(blobs: BlobStore) {
    this.#result = blobs.put(this.#source(), "text/plain; charset=utf-8").then(
      (ref) => ({ ref }),
      (error: unknown) => {
        // A full disk must not end the command: the observation says what became of its output.
        this.#over = true;
        this.#room.resolve();
        return { problem: GuildError.from(error).line };
      },
    );
  }

  async write(text: string): Promise<void> {
    if (this.#over) return;
    this.#pieces.push(text);
    this.#more.resolve();
    if (this.#pieces.length < 16) return;
    this.#room = Promise.withResolvers();
    await this.#room.promise;
  }

  end(): Promise<{ ref: BlobRef } | { problem: string }> {
    this.#ended = true;
    this.#more.resolve();
    return this.#result;
  }

  async *#source(): AsyncGenerator<Uint8Array> {
    while (true) {
      const pieces = this.#pieces;
      this.#pieces = [];
      if (pieces.length > 0) yield Buffer.from(pieces.join(""));
      this.#room.resolve();
      if (this.#pieces.length > 0) continue;
      if (this.#ended) return;
      this.#more = Promise.withResolvers();
      await this.#more.promise;
    }
  }
}

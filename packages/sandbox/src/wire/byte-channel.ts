import { GuildError, type OutputChunk, type OutputStream } from "@guildhall/core";

import type { FrameListener, InitConnection } from "./connection.ts";
import { FrameBuilder, FromInit, ToInit, type FrameReader } from "./frame.ts";

/** Bytes that the init may send ahead of the consumer, one channel. */
export const OUTPUT_WINDOW = 256 * 1024;

/** Bytes of input that the init holds, one channel; `INPUT_WINDOW` in `native/init/init.h`. */
const INPUT_WINDOW = 64 * 1024;
const LARGEST_INPUT_FRAME = 32 * 1024;

const streams: OutputStream[] = ["stdout", "stderr", "control"];

/**
 * Byte streams of one execution or connection, held back by credit both ways. Bytes on `control` come after the output that was
 * written before them.
 */
export class ByteChannel implements FrameListener {
  readonly id: number;
  /** One consumer at a time; leaving the loop loses nothing, a later loop goes on where it stopped. */
  readonly output: AsyncIterable<OutputChunk>;
  readonly #connection: InitConnection;
  readonly #chunks: OutputChunk[] = [];
  #head = 0;
  /** Bytes in chunks that nobody has taken. */
  #held = 0;
  #owed = 0;
  #outputEnded = false;
  #takers: Array<(result: IteratorResult<OutputChunk>) => void> = [];
  #inputCredit = INPUT_WINDOW;
  #inputState: "open" | "closed" | "refused" = "open";
  #inputWaiter: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #exit: ((payload: FrameReader) => void) | undefined;
  #gone: ((reason: string) => void) | undefined;

  constructor(connection: InitConnection, id: number, events: { exit?(payload: FrameReader): void; gone?(reason: string): void } = {}) {
    this.id = id;
    this.#connection = connection;
    this.#exit = events.exit?.bind(events);
    this.#gone = events.gone?.bind(events);
    const iterator: AsyncIterator<OutputChunk> = { next: () => this.#take() };
    this.output = { [Symbol.asyncIterator]: () => iterator };
    connection.listen(id, this);
  }

  frame(type: number, payload: FrameReader): void {
    if (type === FromInit.output) this.#give({ stream: streams[payload.u8()] ?? "stdout", bytes: payload.rest() });
    else if (type === FromInit.end) this.endOutput();
    else if (type === FromInit.exit) this.#exit?.(payload);
    else if (type === FromInit.inputCredit) {
      this.#inputCredit += payload.u32();
      this.#inputWaiter?.();
    } else if (type === FromInit.inputClosed) this.#refuseInput();
  }

  gone(reason: string): void {
    this.#refuseInput();
    this.endOutput();
    this.#gone?.(reason);
  }

  /** Resolves when the init has taken all of it. */
  write(bytes: Uint8Array): Promise<void> {
    const turn = this.#writing.then(() => this.#write(bytes));
    this.#writing = turn.catch(() => {}); // the caller of this write sees it; the next one is tried anew
    return turn;
  }

  /** `lasting`: nothing can be written afterwards. A terminal gets its end-of-file key and stays open. */
  closeInput(lasting = true): Promise<void> {
    return (this.#writing = this.#writing.then(() => {
      if (this.#inputState !== "open") return;
      if (lasting) this.#inputState = "closed";
      this.#connection.send(new FrameBuilder(ToInit.inputClose, this.id, 0));
    }));
  }

  /** From now on output counts as ended; what was not consumed is dropped when `drop`. */
  endOutput(drop = false): void {
    if (drop) {
      this.#chunks.length = 0;
      this.#head = 0;
      this.#held = 0;
    }
    this.#outputEnded = true;
    if (this.#head < this.#chunks.length) return;
    for (const take of this.#takers.splice(0)) take({ done: true, value: undefined });
  }

  #give(chunk: OutputChunk): void {
    if (this.#outputEnded) return;
    const take = this.#takers.shift();
    if (take === undefined) {
      this.#chunks.push(chunk);
      this.#held += chunk.bytes.length;
      if (this.#held > OUTPUT_WINDOW) this.#connection.end("its init broke the protocol");
      return;
    }
    this.#repay(chunk.bytes.length);
    take({ done: false, value: chunk });
  }

  #take(): Promise<IteratorResult<OutputChunk>> {
    const chunk = this.#chunks[this.#head];
    if (chunk !== undefined) {
      this.#head += 1;
      if (this.#head === this.#chunks.length) {
        this.#chunks.length = 0;
        this.#head = 0;
      }
      this.#held -= chunk.bytes.length;
      this.#repay(chunk.bytes.length);
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#outputEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  #repay(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < OUTPUT_WINDOW / 4 || this.#outputEnded) return;
    this.#connection.send(new FrameBuilder(ToInit.credit, this.id, 4).u32(this.#owed));
    this.#owed = 0;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (this.#inputState !== "open") throw new GuildError("failed_precondition", "the process does not read its input any more");
      const size = Math.min(bytes.length - at, this.#inputCredit, LARGEST_INPUT_FRAME);
      if (size === 0) {
        await new Promise<void>((resolve) => (this.#inputWaiter = resolve));
        this.#inputWaiter = undefined;
        continue;
      }
      this.#inputCredit -= size;
      this.#connection.send(new FrameBuilder(ToInit.input, this.id, size).bytes(bytes.subarray(at, at + size)));
      at += size;
    }
  }

  #refuseInput(): void {
    this.#inputState = "refused";
    this.#inputWaiter?.();
  }
}

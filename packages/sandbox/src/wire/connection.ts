import type { Duplex } from "node:stream";

import { GuildError } from "@guildhall/core";

import { type FrameBuilder, FrameReader, FromInit, PROTOCOL_VERSION } from "./frame.ts";

/** Receives the frames of one id that are no results: output, exit, parts of a walk. */
export interface FrameListener {
  frame(type: number, payload: FrameReader): void;
  /** The connection is over; nothing more comes. */
  gone(reason: string): void;
}

/** More than any answer of an honest init. */
const LARGEST_FRAME = 64 * 1024 * 1024;

interface Waiting {
  resolve(result: InitResult): void;
  reject(error: GuildError): void;
}

/** Answer of the init: an errno (0: done) and what it brings. */
export interface InitResult {
  errno: number;
  payload: FrameReader;
}

/** The one connection to an init: requests with their results, and frames for listeners. */
export class InitConnection {
  readonly #stream: Duplex;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<number, FrameListener>();
  #nextId = 1;
  #pending: Buffer[] = [];
  #pendingLength = 0;
  #over = false;
  #reason: string | undefined;
  /** Why the connection broke, where this side knows more than that it did: its last word may have been lost with it. */
  explainLoss: (() => string | undefined) | undefined;
  readonly #hello = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<string>();

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#hello.promise.catch(() => {}); // observed by ready(); a sandbox that is never awaited must not end the process
    stream.on("data", (bytes: Buffer) => this.#receive(bytes));
    stream.on("error", () => this.end(this.explainLoss?.() ?? "connection lost"));
    stream.on("close", () => this.end(this.explainLoss?.() ?? "connection closed"));
  }

  /** Resolves when the init has spoken; rejects when it has gone before. */
  ready(): Promise<void> {
    return this.#hello.promise;
  }

  /** Resolves with the reason when the connection is over. */
  get gone(): Promise<string> {
    return this.#gone.promise;
  }

  newId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_fff0 ? 1 : id + 1;
    return id;
  }

  listen(id: number, listener: FrameListener): void {
    this.#listeners.set(id, listener);
  }

  unlisten(id: number): void {
    this.#listeners.delete(id);
  }

  /** Bytes that the kernel has not taken yet. */
  get backlog(): number {
    return this.#stream.writableLength;
  }

  /** Resolves when the kernel has taken what was sent, or the connection is over. */
  drained(): Promise<void> {
    if (this.#over || !this.#stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off("drain", done).off("close", done);
        resolve();
      };
      this.#stream.on("drain", done).on("close", done);
    });
  }

  send(frame: FrameBuilder, following?: Uint8Array): void {
    if (this.#over) return;
    if (following === undefined || following.length === 0) {
      this.#stream.write(frame.finish());
      return;
    }
    this.#stream.cork();
    this.#stream.write(frame.finish(following.length));
    this.#stream.write(following);
    this.#stream.uncork();
  }

  /** Sends a request whose id is `id` and resolves with its result. Rejects with `unavailable` when the sandbox is gone. */
  request(id: number, frame: FrameBuilder, following?: Uint8Array): Promise<InitResult> {
    if (this.#over) return Promise.reject(this.#lost());
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.send(frame, following);
    });
  }

  /** Ends the connection from this side; the init kills everything and goes. */
  end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason ??= reason;
    const why = this.#reason;
    this.#stream.destroy();
    this.#hello.reject(this.#lost());
    for (const waiting of this.#waiting.values()) waiting.reject(this.#lost());
    this.#waiting.clear();
    for (const listener of this.#listeners.values()) listener.gone(why);
    this.#listeners.clear();
    this.#gone.resolve(why);
  }

  #lost(): GuildError {
    return new GuildError("unavailable", `the sandbox is gone: ${this.#reason ?? "connection closed"}`);
  }

  #receive(bytes: Buffer): void {
    let buffer = bytes;
    if (this.#pendingLength > 0) {
      this.#pending.push(bytes);
      this.#pendingLength += bytes.length;
      const first = this.#pending[0];
      if (first !== undefined && first.length >= 4 && this.#pendingLength < first.readUInt32LE(0) + 4) return;
      buffer = this.#pending.length === 1 ? bytes : Buffer.concat(this.#pending, this.#pendingLength);
      this.#pending = [];
      this.#pendingLength = 0;
    }
    let at = 0;
    while (buffer.length - at >= 4 && !this.#over) {
      const length = buffer.readUInt32LE(at);
      if (length < 5 || length > LARGEST_FRAME) return this.end("its init broke the protocol");
      if (buffer.length - at < length + 4) break;
      this.#frame(buffer.readUInt8(at + 4), buffer.readUInt32LE(at + 5), buffer.subarray(at + 9, at + 4 + length));
      at += 4 + length;
    }
    if (at < buffer.length) {
      this.#pending = [buffer.subarray(at)];
      this.#pendingLength = buffer.length - at;
    }
  }

  #frame(type: number, id: number, payload: Buffer): void {
    // What runs inside may have got hold of the init: nothing that it says may throw out of here.
    try {
      this.#dispatch(type, id, new FrameReader(payload));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.end("its init broke the protocol");
    }
  }

  #dispatch(type: number, id: number, reader: FrameReader): void {
    if (type === FromInit.result) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      waiting?.resolve({ errno: reader.u32(), payload: reader });
      return;
    }
    if (type === FromInit.hello) {
      const version = reader.u32();
      if (version === PROTOCOL_VERSION) this.#hello.resolve();
      else this.end(`its init speaks version ${version}, this program ${PROTOCOL_VERSION}: build the toolkit again`);
      return;
    }
    if (type === FromInit.gone) {
      this.#reason ??= reader.rest().toString("utf8");
      return;
    }
    this.#listeners.get(id)?.frame(type, reader);
  }
}

/**
 * The language between host and init: frames `u32 length, u8 type, u32 id, payload`, little-endian, length counting what
 * follows it. Mirrors `native/init/init.h`.
 */
export const PROTOCOL_VERSION = 2;

export const ToInit = {
  exec: 1,
  input: 2,
  inputClose: 3,
  credit: 4,
  signal: 5,
  resize: 6,
  close: 7,
  renew: 8,
  connect: 9,
  usage: 10,
  shutdown: 11,
  listen: 12,
  accept: 13,
  endAll: 14,
  stat: 16,
  realpath: 17,
  read: 18,
  write: 19,
  list: 20,
  mkdir: 21,
  remove: 22,
  rename: 23,
  symlink: 24,
  readlink: 25,
  chmod: 26,
  walk: 27,
  writeMore: 28,
  track: 32,
  changes: 33,
} as const;

export const FromInit = {
  result: 128,
  output: 129,
  exit: 130,
  end: 131,
  inputCredit: 132,
  hello: 133,
  part: 134,
  gone: 135,
  inputClosed: 136,
} as const;

/** Credit value that ends a walk early. */
export const CANCEL_WALK = 0xffff_ffff;

const HEADER = 9;

/** Builds one frame; every `put` returns the builder. */
export class FrameBuilder {
  #buffer: Buffer;
  #at = HEADER;

  constructor(type: number, id: number, sizeHint = 128) {
    this.#buffer = Buffer.allocUnsafe(HEADER + sizeHint);
    this.#buffer[4] = type;
    this.#buffer.writeUInt32LE(id, 5);
  }

  u8(value: number): this {
    this.#room(1);
    this.#buffer[this.#at] = value;
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#at = this.#buffer.writeUInt16LE(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
    return this;
  }

  /** A non-negative safe integer. */
  u64(value: number): this {
    this.#room(8);
    this.#buffer.writeUInt32LE(value % 0x1_0000_0000, this.#at);
    this.#at = this.#buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.#at + 4);
    return this;
  }

  /** Length, bytes and a NUL, so that the init uses it where it stands. */
  string(value: Uint8Array | string): this {
    const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
    this.u32(bytes.length + 1);
    this.bytes(bytes);
    return this.u8(0);
  }

  strings(values: ReadonlyArray<Uint8Array | string>): this {
    this.u32(values.length);
    for (const value of values) this.string(value);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** The finished frame. `following`: bytes of payload that the caller sends right behind it. */
  finish(following = 0): Buffer {
    this.#buffer.writeUInt32LE(this.#at - 4 + following, 0);
    return this.#buffer.subarray(0, this.#at);
  }

  #room(length: number): void {
    if (this.#at + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + length));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** Reads a payload from front to back. */
export class FrameReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get length(): number {
    return this.#buffer.length;
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length;
  }

  u8(): number {
    const value = this.#buffer.readUInt8(this.#at);
    this.#at += 1;
    return value;
  }

  u32(): number {
    const value = this.#buffer.readUInt32LE(this.#at);
    this.#at += 4;
    return value;
  }

  u64(): number {
    const low = this.#buffer.readUInt32LE(this.#at);
    const high = this.#buffer.readUInt32LE(this.#at + 4);
    this.#at += 8;
    return high * 0x1_0000_0000 + low;
  }

  bigU64(): bigint {
    const value = this.#buffer.readBigUInt64LE(this.#at);
    this.#at += 8;
    return value;
  }

  string(): Buffer {
    const length = this.u32();
    const value = this.#buffer.subarray(this.#at, this.#at + length);
    this.#at += length;
    return value;
  }

  rest(): Buffer {
    const value = this.#buffer.subarray(this.#at);
    this.#at = this.#buffer.length;
    return value;
  }
}

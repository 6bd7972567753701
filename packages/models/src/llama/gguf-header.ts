import { type FileHandle, open } from "node:fs/promises";

import { GuildError } from "@guildhall/core";

/** What the head of a GGUF file says of its model. */
export interface GgufHeader {
  architecture: string;
  /** Tokens that it was trained to read at once. */
  contextTokens: number;
  /** Numbers of an embedding. */
  dimension: number;
}

/** A file's metadata is read up to here; vocabularies of a quarter of a million words fit. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Reads the head of a GGUF file (version 2 or 3) without loading it. Throws `not_found`, and `invalid_argument` for a file of another kind or one that is cut
 * off. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 */
export async function readGgufHeader(file: string): Promise<GgufHeader> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    throw new GuildError("not_found", code === "ENOENT" ? `there is no model ${file}` : `${file} cannot be read`, {
      subject: file,
      remedy: "give the path of a .gguf file: llama:<path>",
      cause: error,
    });
  }
  try {
    return await readHeader(new Reader(handle), file);
  } finally {
    await handle.close();
  }
}

async function readHeader(reader: Reader, file: string): Promise<GgufHeader> {
  const wrong = (what: string): GuildError =>
    new GuildError("invalid_argument", `${file} ${what}`, { subject: file, remedy: "take a model in the GGUF format" });
  if ((await reader.bytes(4).catch(() => Buffer.alloc(0))).toString("latin1") !== "GGUF") throw wrong("is no GGUF file");
  try {
    const version = await reader.u32();
    if (version < 2 || version > 3) throw wrong(`is GGUF of version ${version}, not 2 or 3`);
    await reader.u64(); // Tensors.
    const count = await reader.u64();
    const numbers = new Map<string, number>();
    let architecture = "";
    for (let at = 0; at < count; at += 1) {
      const key = await reader.string();
      const type = await reader.u32();
      if (key === "general.architecture" && type === STRING) architecture = await reader.string();
      else if (type === U32) numbers.set(key, await reader.u32());
      else await reader.skip(type, 0);
      const [contextTokens, dimension] = [numbers.get(`${architecture}.context_length`), numbers.get(`${architecture}.embedding_length`)];
      if (contextTokens !== undefined && dimension !== undefined) return { architecture, contextTokens, dimension };
    }
  } catch (error) {
    throw GuildError.is(error) ? error : wrong("is cut off or damaged");
  }
  throw wrong("says neither context nor embedding length: it is no language model");
}

const U32 = 4;
const STRING = 8;
const ARRAY = 9;
/** Bytes of the other types by their number. */
const SIZES: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [U32, 4],
  [5, 4],
  [6, 4],
  [7, 1],
  [10, 8],
  [11, 8],
  [12, 8],
]);

/** Little-endian values from a file, in pieces. */
class Reader {
  readonly #handle: FileHandle;
  #buffer = Buffer.alloc(0);
  /** Of the buffer's first byte in the file. */
  #start = 0;
  #at = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async bytes(count: number): Promise<Buffer> {
    if (this.#at + count > MOST_BYTES) throw new RangeError("beyond the head");
    if (this.#at + count > this.#start + this.#buffer.length) {
      const block = Buffer.alloc(Math.max(count, 256 * 1024));
      const { bytesRead } = await this.#handle.read(block, 0, block.length, this.#at);
      if (bytesRead < count) throw new RangeError("the end of the file");
      this.#buffer = block.subarray(0, bytesRead);
      this.#start = this.#at;
    }
    const from = this.#at - this.#start;
    this.#at += count;
    return this.#buffer.subarray(from, from + count);
  }

  async u32(): Promise<number> {
    return (await this.bytes(4)).readUInt32LE();
  }

  async u64(): Promise<number> {
    return Number((await this.bytes(8)).readBigUInt64LE());
  }

  async string(): Promise<string> {
    return (await this.bytes(await this.u64())).toString("utf8");
  }

  async skip(type: number, depth: number): Promise<void> {
    if (type === STRING) {
      await this.#pass(await this.u64());
      return;
    }
    const size = SIZES.get(type);
    if (size !== undefined) {
      await this.#pass(size);
      return;
    }
    if (type !== ARRAY || depth > 4) throw new RangeError("an unknown type");
    const inner = await this.u32();
    const count = await this.u64();
    const each = SIZES.get(inner);
    if (each !== undefined) await this.#pass(each * count);
    else for (let at = 0; at < count; at += 1) await this.skip(inner, depth + 1);
  }

  async #pass(bytes: number): Promise<void> {
    if (this.#at + bytes > MOST_BYTES) throw new RangeError("beyond the head");
    this.#at += bytes;
    await Promise.resolve();
  }
}

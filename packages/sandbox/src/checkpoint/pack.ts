import { createHash, randomBytes } from "node:crypto";
import { open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";

import { GuildError } from "@guildhall/core";

import type { PackEntry } from "./pack-entry.ts";

/**
 * A pack file with its index (version 2), as stock git reads them. The index is held in memory, 28 bytes an object; objects
 * are whole, never deltas.
 */
export class Pack {
  readonly name: string;
  /** Bytes of the pack file. */
  readonly size: number;
  readonly #directory: string;
  readonly #index: Buffer;
  readonly #count: number;
  #file: Promise<FileHandle> | undefined;

  constructor(directory: string, name: string, size: number, index: Buffer) {
    this.name = name;
    this.size = size;
    this.#directory = directory;
    this.#index = index;
    this.#count = index.length < FANOUT_END ? 0 : index.readUInt32BE(FANOUT_END - 4);
    if (index.length !== FANOUT_END + this.#count * 28 + 40) {
      throw new GuildError("corrupt", "a pack index of the checkpoint store is malformed", { subject: join(directory, name) });
    }
  }

  /** Offset of the object's entry; −1: not in this pack. `id` is twenty bytes. */
  find(id: Buffer): number {
    const first = id[0] ?? 0;
    let low = first === 0 ? 0 : this.#index.readUInt32BE(FANOUT + (first - 1) * 4);
    let high = this.#index.readUInt32BE(FANOUT + first * 4);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = FANOUT_END + middle * 20;
      const order = this.#index.compare(id, 0, 20, at, at + 20);
      if (order === 0) return this.#index.readUInt32BE(FANOUT_END + this.#count * 24 + middle * 4);
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  /** Every object, in the order of the file, with the length of its entry. */
  *entries(): Generator<{ id: string; offset: number; length: number }> {
    const offsets = Array.from({ length: this.#count }, (_, place) => ({
      place,
      offset: this.#index.readUInt32BE(FANOUT_END + this.#count * 24 + place * 4),
    })).sort((a, b) => a.offset - b.offset);
    for (const [order, { place, offset }] of offsets.entries()) {
      const at = FANOUT_END + place * 20;
      const end = offsets[order + 1]?.offset ?? this.size - 20;
      yield { id: this.#index.toString("hex", at, at + 20), offset, length: end - offset };
    }
  }

  /** At most `length` bytes from `offset`; fewer at the end of the file. */
  async read(offset: number, length: number): Promise<Buffer> {
    this.#file ??= open(join(this.#directory, `${this.name}.pack`));
    const bytes = Buffer.allocUnsafe(Math.min(length, this.size - offset));
    const { bytesRead } = await (await this.#file).read(bytes, 0, bytes.length, offset);
    return bytes.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await (await file)?.close();
  }

  async remove(): Promise<void> {
    await this.close();
    // The index first: git takes a pack without one for absent, but complains about an index without its pack.
    await rm(join(this.#directory, `${this.name}.idx`), { force: true });
    await rm(join(this.#directory, `${this.name}.pack`), { force: true });
  }
}

/** Reads what `writePack` wrote. */
export async function openPack(directory: string, name: string, size: number): Promise<Pack> {
  return new Pack(directory, name, size, await readFile(join(directory, `${name}.idx`)));
}

/**
 * Writes `count` entries (a number that the format wants first) as a pack and its index; durable when it resolves, nothing there before.
 * An object must not come twice. At most 2 GiB.
 */
export async function writePack(directory: string, count: number, entries: Iterable<PackEntry> | AsyncIterable<PackEntry>): Promise<Pack> {
  const temporary = join(directory, `tmp_${randomBytes(8).toString("hex")}`);
  const written: Array<{ id: string; crc: number; offset: number }> = [];
  const hash = createHash("sha1");
  const file = await open(temporary, "wx", 0o444);
  let size = 0;
  try {
    let held: Buffer[] = [];
    let heldBytes = 0;
    const flush = async () => {
      const bytes = Buffer.concat(held);
      hash.update(bytes);
      await file.appendFile(bytes);
      held = [];
      heldBytes = 0;
    };
    const push = async (bytes: Buffer) => {
      held.push(bytes);
      heldBytes += bytes.length;
      size += bytes.length;
      if (heldBytes >= WRITE_BYTES) await flush();
    };
    const head = Buffer.from("PACK\0\0\0\x02\0\0\0\0", "latin1");
    head.writeUInt32BE(count, 8);
    await push(head);
    for await (const { id, bytes } of entries) {
      written.push({ id, crc: crc32(bytes), offset: size });
      await push(bytes);
    }
    await flush();
    const trailer = hash.digest();
    size += trailer.length;
    await file.appendFile(trailer);
    await file.datasync();
    if (written.length !== count || size > LARGEST) throw new GuildError("internal", "a pack got other entries than announced");

    const index = encodeIndex(written, trailer);
    const name = `pack-${trailer.toString("hex")}`;
    await writeDurably(`${temporary}.idx`, index);
    // The pack before its index: git looks for indexes.
    await rename(temporary, join(directory, `${name}.pack`));
    await rename(`${temporary}.idx`, join(directory, `${name}.idx`));
    await syncDirectory(directory);
    return new Pack(directory, name, size, index);
  } catch (error) {
    await rm(temporary, { force: true });
    await rm(`${temporary}.idx`, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const FANOUT = 8;
const FANOUT_END = FANOUT + 256 * 4;
const WRITE_BYTES = 1024 * 1024;
const LARGEST = 2 ** 31 - 1;

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, "wx", 0o444);
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** gitformat-pack, "Version 2 pack-*.idx files". */
function encodeIndex(entries: Array<{ id: string; crc: number; offset: number }>, packTrailer: Buffer): Buffer {
  const sorted = entries.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const count = sorted.length;
  const index = Buffer.alloc(FANOUT_END + count * 28 + 40);
  index.write("\xfftOc\0\0\0\x02", 0, "latin1");
  for (const [place, { id, crc, offset }] of sorted.entries()) {
    index.write(id, FANOUT_END + place * 20, 20, "hex");
    index.writeUInt32BE(crc, FANOUT_END + count * 20 + place * 4);
    index.writeUInt32BE(offset, FANOUT_END + count * 24 + place * 4);
  }
  let place = 0;
  for (let first = 0; first < 256; first++) {
    while (place < count && (index[FANOUT_END + place * 20] ?? 0) <= first) place++;
    index.writeUInt32BE(place, FANOUT + first * 4);
  }
  packTrailer.copy(index, index.length - 40);
  createHash("sha1")
    .update(index.subarray(0, -20))
    .digest()
    .copy(index, index.length - 20);
  return index;
}

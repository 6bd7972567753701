import { open, type FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";

import type { PackEntry } from "./pack-entry.ts";

/**
 * Objects that are not in a pack yet: one file, appended to and synchronised once for all that waits. A record is its length, the checksum
 * of what follows, the id and the pack entry. A record that a crash cut short is dropped, with all that follows it.
 */
export class Journal {
  /** Bytes of all records. */
  size: number;
  readonly #file: FileHandle;
  readonly #places: Map<string, { offset: number; length: number }>;

  private constructor(file: FileHandle, size: number, places: Map<string, { offset: number; length: number }>) {
    this.#file = file;
    this.size = size;
    this.#places = places;
  }

  /** Opens or creates it, and takes in what an earlier owner left. */
  static async open(path: string): Promise<Journal> {
    // Not for appending: after a failed write the next one begins where the last whole record ended.
    const file = await open(path, "a+").then(async (created) => {
      await created.close();
      return open(path, "r+");
    });
    const bytes = await file.readFile();
    const places = new Map<string, { offset: number; length: number }>();
    let at = 0;
    while (at + HEAD <= bytes.length) {
      const length = bytes.readUInt32LE(at);
      const end = at + HEAD + length;
      if (end > bytes.length || crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32LE(at + 4)) break;
      places.set(bytes.toString("hex", at + 8, at + HEAD), { offset: at + HEAD, length });
      at = end;
    }
    if (at < bytes.length) await file.truncate(at);
    return new Journal(file, at, places);
  }

  has(id: string): boolean {
    return this.#places.has(id);
  }

  ids(): Iterable<string> {
    return this.#places.keys();
  }

  /** The object's pack entry; undefined when it is not here. */
  async read(id: string): Promise<Buffer | undefined> {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    const bytes = Buffer.allocUnsafe(place.length);
    const { bytesRead } = await this.#file.read(bytes, 0, place.length, place.offset);
    return bytes.subarray(0, bytesRead);
  }

  /** Durable when it resolves; calls must not overlap. */
  async append(entries: PackEntry[]): Promise<void> {
    const records: Buffer[] = [];
    const places: Array<[string, { offset: number; length: number }]> = [];
    let end = this.size;
    for (const { id, bytes } of entries) {
      const head = Buffer.allocUnsafe(HEAD);
      head.writeUInt32LE(bytes.length, 0);
      head.write(id, 8, 20, "hex");
      head.writeUInt32LE(crc32(bytes, crc32(head.subarray(8))), 4);
      records.push(head, bytes);
      places.push([id, { offset: end + HEAD, length: bytes.length }]);
      end += HEAD + bytes.length;
    }
    try {
      await writeAll(this.#file, Buffer.concat(records), this.size);
      await this.#file.datasync();
    } catch (error) {
      await this.#file.truncate(this.size);
      throw error;
    }
    this.size = end;
    for (const [id, place] of places) this.#places.set(id, place);
  }

  /** Forgets everything, when it is in a pack. */
  async clear(): Promise<void> {
    this.#places.clear();
    this.size = 0;
    await this.#file.truncate(0);
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Length, checksum, id. */
const HEAD = 28;

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, stat, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";

import { type EmbeddingModel, GuildError } from "@guildhall/core";

/** Vectors of one model by content hash, on disk. Only a cache: whatever is damaged or gone is embedded again. */
export interface VectorStore {
  readonly model: EmbeddingModel;
  readonly size: number;
  get(key: string): Promise<Float32Array | undefined>;
  put(items: ReadonlyArray<{ key: string; vector: Float32Array }>): Promise<void>;
  close(): Promise<void>;
}

export interface VectorStoreOptions {
  /** Bytes that all segments of a model may take; the oldest go first, at opening. Default 1 GiB. */
  maxBytes?: number;
}

const KEY_BYTES = 32;
const CRC_BYTES = 4;

/**
 * Append-only segments of fixed-size records (key, checksum, vector), one segment a process, so that several may share the directory: each
 * reads what the others had written when it opened, and writes to its own. A record torn by a crash fails its checksum and is passed over.
 * Every model has a directory of its own in `directory`: vectors of two models never meet.
 */
export async function openVectorStore(directory: string, model: EmbeddingModel, options: VectorStoreOptions = {}): Promise<VectorStore> {
  const home = join(directory, modelKey(model));
  const recordBytes = KEY_BYTES + CRC_BYTES + model.dimension * 4;
  await mkdir(home, { recursive: true, mode: 0o700 });
  await dropOldest(home, options.maxBytes ?? 2 ** 30);

  const places = new Map<string, { handle: FileHandle; at: number }>();
  const handles: FileHandle[] = [];
  for (const name of await segments(home)) {
    const handle = await open(join(home, name), "r").catch(ignoreMissing);
    if (handle === undefined) continue;
    handles.push(handle);
    for (const [key, at] of await readKeys(handle, recordBytes)) places.set(key, { handle, at });
  }

  let own: FileHandle | undefined;
  let end = 0;
  let writes: Promise<unknown> = Promise.resolve();

  async function write(items: ReadonlyArray<{ key: string; vector: Float32Array }>): Promise<void> {
    const fresh = [...new Map(items.map((item) => [item.key, item.vector]))].filter(([key]) => !places.has(key));
    if (fresh.length === 0) return;
    if (own === undefined) {
      own = await open(join(home, `${Date.now().toString(36)}-${randomBytes(6).toString("hex")}.vectors`), "wx+", 0o600);
      handles.push(own);
    }
    const records = Buffer.concat(fresh.map(([key, vector]) => record(key, vector)));
    await own.write(records, 0, records.length, end);
    for (const [key] of fresh) {
      places.set(key, { handle: own, at: end });
      end += recordBytes;
    }
  }

  return {
    model,
    get size() {
      return places.size;
    },
    async get(key) {
      const place = places.get(key);
      if (place === undefined) return undefined;
      const bytes = Buffer.alloc(recordBytes);
      const { bytesRead } = await place.handle.read(bytes, 0, recordBytes, place.at);
      const body = bytes.subarray(KEY_BYTES + CRC_BYTES);
      if (bytesRead < recordBytes || bytes.readUInt32LE(KEY_BYTES) !== crc32(body)) {
        places.delete(key);
        return undefined;
      }
      return new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length));
    },
    async put(items) {
      for (const { vector } of items) {
        if (vector.length !== model.dimension) {
          throw new GuildError("failed_precondition", `a vector of ${vector.length} numbers for ${model.id} (${model.dimension})`);
        }
      }
      const done = writes.then(() => write(items));
      // Whoever asked is told; those behind go on all the same.
      writes = done.catch(() => undefined);
      await done;
    },
    async close() {
      await writes;
      for (const handle of handles.splice(0)) await handle.close();
      places.clear();
    },
  };
}

/** The key under which a text's vector is kept. */
export function contentKey(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function modelKey(model: EmbeddingModel): string {
  const name = model.id.replaceAll(/[^A-Za-z0-9.-]+/g, "_").slice(0, 40);
  const digest = createHash("sha256").update(`${model.id}\0${model.dimension}`).digest("hex");
  return `${name}-${model.dimension}-${digest.slice(0, 12)}`;
}

function record(key: string, vector: Float32Array): Buffer {
  const body = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
  const head = Buffer.alloc(KEY_BYTES + CRC_BYTES);
  head.write(key, "hex");
  head.writeUInt32LE(crc32(body), KEY_BYTES);
  return Buffer.concat([head, body]);
}

/** Keys with the offsets of their records; a torn last record is left out. */
async function readKeys(handle: FileHandle, recordBytes: number): Promise<Array<[string, number]>> {
  const { size } = await handle.stat();
  const keys: Array<[string, number]> = [];
  const block = Buffer.alloc(recordBytes * 512);
  for (let from = 0; from + recordBytes <= size;) {
    const { bytesRead } = await handle.read(block, 0, block.length, from);
    const whole = Math.floor(bytesRead / recordBytes);
    if (whole === 0) break;
    for (let at = 0; at < whole; at += 1) {
      keys.push([block.toString("hex", at * recordBytes, at * recordBytes + KEY_BYTES), from + at * recordBytes]);
    }
    from += whole * recordBytes;
  }
  return keys;
}

/** Oldest first: a name begins with the time of its making. */
async function segments(home: string): Promise<string[]> {
  return (await readdir(home)).filter((name) => name.endsWith(".vectors")).toSorted();
}

async function dropOldest(home: string, maxBytes: number): Promise<void> {
  let total = 0;
  for (const name of (await segments(home)).toReversed()) {
    const size = (await stat(join(home, name)).catch(ignoreMissing))?.size ?? 0;
    total += size;
    if (total > maxBytes) await unlink(join(home, name)).catch(ignoreMissing);
  }
}

/** Another process may drop a segment at the same time. */
function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}

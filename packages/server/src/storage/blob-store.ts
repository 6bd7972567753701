import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";

import { create } from "@bufbuild/protobuf";
import { type BlobSource, type BlobStore, type FaultPoints, GuildError } from "@guildhall/core";
import { type BlobRef, BlobRefSchema } from "@guildhall/protocol";

const CHUNK = 256 << 10;
const ABANDONED_MS = 24 * 3600 * 1000;

export interface FileBlobStoreOptions {
  /** Made when it is absent, for its owner alone. */
  directory: string;
  faults?: FaultPoints;
}

/**
 * Blobs as files `<first two digits>/<the other 62>` of their digest. A file appears under its name when it is whole and on disk, and is
 * never changed afterwards. Several processes may share a directory.
 */
export class FileBlobStore implements BlobStore {
  readonly #directory: string;
  readonly #faults: FaultPoints | undefined;
  /** Folders whose own names are known to be on disk. */
  readonly #settled = new Set<string>();
  #swept: Promise<void> | undefined;

  constructor(options: FileBlobStoreOptions) {
    this.#directory = options.directory;
    this.#faults = options.faults;
  }

  async put(source: BlobSource, mediaType: string): Promise<BlobRef> {
    await this.#faults?.hit("blob:before");
    this.#swept ??= this.#sweep();
    await this.#swept;
    const temporary = join(this.#directory, "incoming", randomUUID());
    try {
      const known = source instanceof Uint8Array ? await this.#known(source) : undefined;
      const { digest, size } = known ?? (await this.#write(temporary, source));
      await this.#settle(temporary, digest, size);
      await this.#faults?.hit("blob:after");
      return create(BlobRefSchema, { digest, size: BigInt(size), mediaType });
    } catch (error) {
      throw diskError(error, this.#directory);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async *get(digest: string, range?: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
    const path = this.#pathOf(digest);
    if (range !== undefined && (range.offset < 0 || range.length < 0)) {
      throw new GuildError("invalid_argument", "a range has no negative parts", { subject: digest });
    }
    const file = await open(path, "r").catch((error: unknown) => {
      throw isMissing(error) ? new GuildError("not_found", `no blob ${digest}`, { subject: digest }) : diskError(error, path);
    });
    try {
      const hash = range === undefined ? createHash("sha256") : undefined;
      let position = range?.offset ?? 0;
      const end = range === undefined ? Infinity : range.offset + range.length;
      while (position < end) {
        const chunk = Buffer.allocUnsafe(Math.min(CHUNK, end - position));
        const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
        if (bytesRead === 0) break;
        position += bytesRead;
        hash?.update(chunk.subarray(0, bytesRead));
        yield chunk.subarray(0, bytesRead);
      }
      if (hash !== undefined && `sha256:${hash.digest("hex")}` !== digest) {
        throw new GuildError("corrupt", "a stored blob is not what it was", {
          subject: path,
          remedy: "check the disk; delete the file, or restore it from a copy",
        });
      }
    } finally {
      await file.close();
    }
  }

  async has(digest: string): Promise<boolean> {
    return (await this.#sizeOf(this.#pathOf(digest))) !== undefined;
  }

  async *list(): AsyncGenerator<{ digest: string; size: number }> {
    for (const start of await entries(this.#directory)) {
      if (!/^[0-9a-f]{2}$/.test(start)) continue;
      for (const rest of await entries(join(this.#directory, start))) {
        const size = await this.#sizeOf(join(this.#directory, start, rest));
        if (size !== undefined) yield { digest: `sha256:${start}${rest}`, size };
      }
    }
  }

  async delete(digest: string): Promise<void> {
    await rm(this.#pathOf(digest), { force: true });
  }

  /** The name of content that is here already. */
  async #known(bytes: Uint8Array): Promise<{ digest: string; size: number } | undefined> {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const size = await this.#sizeOf(this.#pathOf(digest));
    return size === bytes.length ? { digest, size } : undefined;
  }

  /** Once in a process: removes what writers that were killed left half written, long ago enough that nobody writes it still. */
  async #sweep(): Promise<void> {
    const incoming = join(this.#directory, "incoming");
    for (const name of await entries(incoming)) {
      // Gone meanwhile: its writer has finished.
      const found = await stat(join(incoming, name)).catch(() => undefined);
      if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(join(incoming, name), { force: true });
    }
  }

  async #write(path: string, source: BlobSource): Promise<{ digest: string; size: number }> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(path, "wx", 0o600);
    try {
      const hash = createHash("sha256");
      let size = 0;
      for await (const chunk of source instanceof Uint8Array ? [source] : source) {
        hash.update(chunk);
        size += chunk.length;
        await writeWhole(file, chunk);
      }
      await file.sync();
      return { digest: `sha256:${hash.digest("hex")}`, size };
    } finally {
      await file.close();
    }
  }

  /** Gives the content its name, unless it is there already whole; either way the name is on disk when this resolves. */
  async #settle(temporary: string, digest: string, size: number): Promise<void> {
    const path = this.#pathOf(digest);
    const folder = dirname(path);
    if (!this.#settled.has(folder)) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const parent of [this.#directory, dirname(this.#directory)]) await syncDirectory(parent);
      this.#settled.add(folder);
    }
    await this.#faults?.hit("blob:rename");
    if ((await this.#sizeOf(path)) !== size) await rename(temporary, path);
    await syncDirectory(folder);
  }

  async #sizeOf(path: string): Promise<number | undefined> {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw diskError(error, path);
    }
  }

  #pathOf(digest: string): string {
    const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
    if (hex === undefined) {
      throw new GuildError("invalid_argument", `not a digest: ${JSON.stringify(digest.slice(0, 100))}`, {
        remedy: "write it as sha256: and 64 hexadecimal digits",
      });
    }
    return join(this.#directory, hex.slice(0, 2), hex.slice(2));
  }
}

async function writeWhole(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length;) written += (await file.write(chunk, written)).bytesWritten;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function entries(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw diskError(error, directory);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function diskError(error: unknown, subject: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new GuildError("storage_full", "no room left to store an output", {
      subject,
      remedy: "free some disk space there",
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new GuildError("permission_denied", "stored outputs cannot be reached", {
      subject,
      remedy: "make the folder yours, readable and writable",
      cause: error,
    });
  }
  return error;
}

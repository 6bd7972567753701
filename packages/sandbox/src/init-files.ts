import { bytesToPath, GuildError, pathToBytes, type DirectoryEntry, type FileStat, type SandboxFiles } from "@guildhall/core";

import type { FrameListener, InitConnection, InitResult } from "./wire/connection.ts";
import { CANCEL_WALK, FrameBuilder, FromInit, ToInit, type FrameReader } from "./wire/frame.ts";
import { initError } from "./wire/init-error.ts";

const READ_CHUNK = 1 << 20;
/** What an agent makes must not fill the host's memory. */
const LARGEST_READ = 2 ** 29;
const WRITE_CHUNK = 1 << 20;
const WALK_WINDOW = 1 << 20;
const NO_MODE = 0xffff_ffff;

const kinds: Array<FileStat["kind"]> = ["file", "directory", "symlink", "other"];

/** `SandboxFiles` by the init of a sandbox. */
export class InitFiles implements SandboxFiles {
  readonly #connection: InitConnection;

  constructor(connection: InitConnection) {
    this.#connection = connection;
  }

  async stat(path: string, options: { follow?: boolean } = {}): Promise<FileStat> {
    const payload = await this.#ask(ToInit.stat, "cannot look at", path, (frame) => frame.u8(options.follow === true ? 1 : 0));
    return readStat(payload);
  }

  async realpath(path: string): Promise<string> {
    return bytesToPath((await this.#ask(ToInit.realpath, "cannot resolve", path)).rest());
  }

  async read(path: string, range: { offset?: number; length?: number } = {}): Promise<Uint8Array> {
    const end = range.length === undefined ? Number.MAX_SAFE_INTEGER : (range.offset ?? 0) + range.length;
    for (let attempt = 0; ; attempt++) {
      const parts: Buffer[] = [];
      let at = range.offset ?? 0;
      let version: string | undefined;
      for (;;) {
        const want = Math.min(READ_CHUNK, end - at);
        const payload = await this.#ask(ToInit.read, "cannot read", path, (frame) => frame.u64(at).u64(want));
        const found = `${payload.u64()} ${payload.bigU64()} ${payload.bigU64()}`;
        const bytes = payload.rest();
        // Written to between two chunks: half of one and half of the other is no content. A file that never rests is read as it comes.
        if (version !== undefined && version !== found && attempt < 3) break;
        version = found;
        parts.push(bytes);
        at += bytes.length;
        if (at - (range.offset ?? 0) > LARGEST_READ) {
          throw new GuildError("resource_exhausted", `${path} is too large to be read at once`, {
            subject: path,
            remedy: "read it in ranges",
          });
        }
        if (bytes.length < want || at >= end) return parts.length === 1 ? bytes : Buffer.concat(parts);
      }
    }
  }

  async write(path: string, bytes: Uint8Array, options: { mode?: number; exclusive?: boolean; parents?: boolean } = {}): Promise<void> {
    const flags = (options.exclusive === true ? 1 : 0) | (options.parents === true ? 2 : 0) | (options.mode === undefined ? 0 : 4);
    const id = this.#connection.newId();
    const first = bytes.length <= WRITE_CHUNK ? bytes : bytes.subarray(0, WRITE_CHUNK);
    const frame = new FrameBuilder(ToInit.write, id, 32 + path.length)
      .u8(flags)
      .u32(options.mode ?? 0)
      .u64(bytes.length)
      .string(checked(path));
    const result = this.#connection.request(id, frame, first);
    let done = false;
    const settled = (): void => {
      done = true;
    };
    void result.then(settled, settled);
    for (let at = first.length; at < bytes.length && !done; at += WRITE_CHUNK) {
      await this.#connection.drained();
      if (done) break;
      this.#connection.send(new FrameBuilder(ToInit.writeMore, id, 0), bytes.subarray(at, at + WRITE_CHUNK));
    }
    expect(await result, "cannot write", path);
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    const payload = await this.#ask(ToInit.list, "cannot list", path);
    const entries: DirectoryEntry[] = [];
    while (!payload.done) {
      const kind = kinds[payload.u8()] ?? "other";
      entries.push({ kind, name: bytesToPath(payload.string()) });
    }
    return entries;
  }

  async mkdir(path: string, options: { parents?: boolean; mode?: number } = {}): Promise<void> {
    await this.#ask(ToInit.mkdir, "cannot create directory", path, (frame) =>
      frame.u8(options.parents === true ? 1 : 0).u32(options.mode ?? NO_MODE),
    );
  }

  async remove(path: string, options: { recursive?: boolean } = {}): Promise<void> {
    await this.#ask(ToInit.remove, "cannot remove", path, (frame) => frame.u8(options.recursive === true ? 1 : 0));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#ask(ToInit.rename, "cannot rename", from, (frame) => frame.string(checked(to)));
  }

  async symlink(target: string, path: string): Promise<void> {
    const id = this.#connection.newId();
    const frame = new FrameBuilder(ToInit.symlink, id).string(checked(target)).string(checked(path));
    expect(await this.#connection.request(id, frame), "cannot create link", path);
  }

  async readlink(path: string): Promise<string> {
    return bytesToPath((await this.#ask(ToInit.readlink, "cannot read link", path)).rest());
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.#ask(ToInit.chmod, "cannot change mode of", path, (frame) => frame.u32(mode));
  }

  async *walk(path: string, options: { skip?: string[] } = {}): AsyncGenerator<Array<{ path: string; stat: FileStat }>> {
    const id = this.#connection.newId();
    const parts = new WalkParts();
    this.#connection.listen(id, parts);
    const frame = new FrameBuilder(ToInit.walk, id)
      .u32(WALK_WINDOW)
      .string(checked(path))
      .strings((options.skip ?? []).map(checked));
    let over = false;
    const result = this.#connection.request(id, frame).finally(() => {
      over = true;
      parts.end();
    });
    result.catch(() => {}); // looked at below, also when the caller leaves early
    try {
      for (;;) {
        const part = await parts.next();
        if (part === undefined) break;
        const entries: Array<{ path: string; stat: FileStat }> = [];
        while (!part.done) entries.push({ path: bytesToPath(part.string()), stat: readStat(part) });
        yield entries;
        this.#connection.send(new FrameBuilder(ToInit.credit, id, 4).u32(part.length));
      }
      expect(await result, "cannot walk", path);
    } finally {
      if (!over) this.#connection.send(new FrameBuilder(ToInit.credit, id, 4).u32(CANCEL_WALK));
      this.#connection.unlisten(id);
    }
  }

  async #ask(type: number, what: string, path: string, more?: (frame: FrameBuilder) => FrameBuilder): Promise<FrameReader> {
    const id = this.#connection.newId();
    const frame = new FrameBuilder(type, id, 64 + path.length).string(checked(path));
    return expect(await this.#connection.request(id, more === undefined ? frame : more(frame)), what, path);
  }
}

/** Path as bytes for the init. */
function checked(path: string): Buffer {
  if (path === "" || path.includes("\0")) throw new GuildError("invalid_argument", "a path must not be empty or hold a NUL character");
  return pathToBytes(path);
}

function expect(result: InitResult, what: string, path: string): FrameReader {
  if (result.errno !== 0) throw initError(result.errno, what, path);
  return result.payload;
}

function readStat(payload: FrameReader): FileStat {
  return {
    kind: kinds[payload.u8()] ?? "other",
    mode: payload.u32(),
    size: payload.u64(),
    mtimeMs: payload.u64() / 1e6,
    ctimeMs: payload.u64() / 1e6,
    links: payload.u64(),
    uid: payload.u32(),
    gid: payload.u32(),
    inode: payload.bigU64(),
  };
}

/** Parts of a walk that have come and were not asked for yet. */
class WalkParts implements FrameListener {
  readonly #parts: FrameReader[] = [];
  #ended = false;
  #taker: ((part: FrameReader | undefined) => void) | undefined;

  frame(type: number, payload: FrameReader): void {
    if (type !== FromInit.part) return;
    const taker = this.#taker;
    this.#taker = undefined;
    if (taker === undefined) this.#parts.push(payload);
    else taker(payload);
  }

  gone(): void {
    this.end();
  }

  end(): void {
    this.#ended = true;
    this.#taker?.(undefined);
  }

  next(): Promise<FrameReader | undefined> {
    const part = this.#parts.shift();
    if (part !== undefined || this.#ended) return Promise.resolve(part);
    return new Promise((resolve) => (this.#taker = resolve));
  }
}

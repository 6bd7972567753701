import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { GuildError, gitObjectId, reachableObjects, type CheckpointStore, type GitObjectKind } from "@guildhall/core";

import { Journal } from "./journal.ts";
import { packEntry, unpackEntry, type PackEntry } from "./pack-entry.ts";
import { openPack, syncDirectory, writePack, type Pack } from "./pack.ts";

export interface FileCheckpointStoreOptions {
  /** How long an object that was put or asked for is spared by `collect`, milliseconds. Default fifteen minutes. */
  graceMs?: number;
  /** Milliseconds that only grow. */
  monotonic?: () => number;
}

/**
 * A bare git repository that holds checkpoints: packs, and a journal of what is not packed yet, so that a small checkpoint costs one
 * append and one synchronisation. `settle` and `close` pack the journal; from then on stock git sees everything (set GIT_DIR to the
 * directory). Objects are marked precious, so that git neither prunes nor repacks them. One process at a time may have it open.
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly #packDirectory: string;
  readonly #journal: Journal;
  readonly #graceMs: number;
  readonly #monotonic: () => number;
  #packs: Pack[];
  /** When a tree or root was put or asked for. */
  readonly #recent = new Map<string, number>();
  #waiting: Array<{ entries: PackEntry[]; resolve: () => void; reject: (error: unknown) => void }> = [];
  #last: Promise<unknown> = Promise.resolve();
  #broken: unknown;

  private constructor(packDirectory: string, journal: Journal, packs: Pack[], options: FileCheckpointStoreOptions) {
    this.#packDirectory = packDirectory;
    this.#journal = journal;
    this.#packs = packs;
    this.#graceMs = options.graceMs ?? 15 * 60_000;
    this.#monotonic = options.monotonic ?? (() => performance.now());
  }

  /** Opens or creates the store in `directory`, and takes in what a crash left in its journal. Throws `corrupt`, `storage_full`. */
  static async open(directory: string, options: FileCheckpointStoreOptions = {}): Promise<FileCheckpointStore> {
    try {
      const packDirectory = await prepare(directory);
      const packs: Pack[] = [];
      for (const file of await readdir(packDirectory)) {
        if (file.startsWith("tmp_")) await rm(join(packDirectory, file), { force: true });
        if (!file.endsWith(".idx") || file.startsWith("tmp_")) continue;
        const name = file.slice(0, -".idx".length);
        packs.push(await openPack(packDirectory, name, (await stat(join(packDirectory, `${name}.pack`))).size));
      }
      const journal = await Journal.open(join(directory, "journal"));
      await syncDirectory(directory);
      return new FileCheckpointStore(packDirectory, journal, packs, options);
    } catch (error) {
      throw storageError(error, directory);
    }
  }

  async has(id: string): Promise<boolean> {
    const there = this.#holds(id);
    if (there) this.#use(id);
    return there;
  }

  async put(objects: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }>): Promise<{ storedBytes: number }> {
    if (this.#broken !== undefined) throw storageError(this.#broken, this.#packDirectory);
    const entries: PackEntry[] = [];
    const seen = new Set<string>();
    let storedBytes = 0;
    for (const { id, kind, content } of objects) {
      if (kind === "tree") this.#use(id);
      if (seen.has(id) || this.#holds(id)) continue;
      seen.add(id);
      const entry = await packEntry(id, kind, content);
      entries.push(entry);
      storedBytes += entry.bytes.length;
    }
    this.#forgetOld();
    if (entries.length === 0) return { storedBytes };
    if (storedBytes >= BULK_BYTES || entries.length >= BULK_OBJECTS) {
      await this.#exclusively(async () => {
        const pack = await writePack(this.#packDirectory, entries.length, entries);
        if (!this.#packs.some(({ name }) => name === pack.name)) this.#packs.push(pack);
      });
    } else await this.#journalAll(entries);
    return { storedBytes };
  }

  async get(id: string): Promise<{ kind: GitObjectKind; content: Uint8Array }> {
    // Packing and collection move objects: what is gone from one place is looked for once more.
    for (let attempt = 1; ; attempt++) {
      try {
        const object = await this.#read(id);
        if (object === undefined) {
          throw new GuildError("not_found", `the checkpoint store has no object ${id}`, { subject: id });
        }
        if (gitObjectId(object.kind, object.content) !== id) {
          throw new GuildError("corrupt", `an object of the checkpoint store is not what it should be: ${id}`, { subject: id });
        }
        return object;
      } catch (error) {
        if (attempt === 2 || GuildError.is(error, "not_found")) throw GuildError.from(error);
      }
    }
  }

  async collect(roots: Iterable<string>): Promise<{ objects: number; bytes: number }> {
    return this.#exclusively(async () => {
      this.#forgetOld();
      const kept = await reachableObjects([...roots, ...this.#recent.keys()], async (id) => {
        if (!this.#holds(id)) return undefined;
        const { kind, content } = await this.get(id);
        return kind === "tree" ? content : Buffer.alloc(0);
      });
      const before = this.#size();
      const freed = new Set(this.#ids().filter((id) => !kept.has(id)));
      const keep = (id: string) => !freed.has(id);
      if ([...this.#journal.ids()].some((id) => freed.has(id))) await this.#repack([], keep);
      for (const pack of this.#packs) {
        if ([...pack.entries()].some(({ id }) => freed.has(id))) await this.#repack([pack], keep);
      }
      return { objects: freed.size, bytes: Math.max(0, before - this.#size()) };
    });
  }

  /** Packs the journal, and many small packs into one. */
  async settle(): Promise<void> {
    await this.#exclusively(() => this.#settle());
  }

  async close(): Promise<void> {
    await this.#exclusively(async () => {
      if (this.#broken === undefined) await this.#settle();
      await this.#journal.close();
      for (const pack of this.#packs) await pack.close();
      this.#broken ??= new GuildError("failed_precondition", "the checkpoint store is closed");
    });
  }

  #holds(id: string): boolean {
    if (this.#journal.has(id)) return true;
    const bytes = Buffer.from(id, "hex");
    return this.#packs.some((pack) => pack.find(bytes) >= 0);
  }

  async #read(id: string): Promise<{ kind: GitObjectKind; content: Buffer } | undefined> {
    const journaled = await this.#journal.read(id);
    if (journaled !== undefined) {
      const object = await unpackEntry(journaled);
      if ("needed" in object) throw new GuildError("corrupt", "a journaled object is cut short", { subject: id });
      return object;
    }
    const bytes = Buffer.from(id, "hex");
    for (const pack of this.#packs) {
      const offset = pack.find(bytes);
      if (offset < 0) continue;
      const object = await unpackEntry(await pack.read(offset, READ_AHEAD));
      if (!("needed" in object)) return object;
      const whole = await unpackEntry(await pack.read(offset, object.needed));
      if (!("needed" in whole)) return whole;
      throw new GuildError("corrupt", "a packed object is cut short", { subject: id });
    }
    return undefined;
  }

  /** Everything that waits when the journal is free goes into it in one write and one synchronisation. */
  async #journalAll(entries: PackEntry[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ entries, resolve, reject });
    if (this.#waiting.length > 1) return promise;
    await this.#exclusively(async () => {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#journal.append(batch.flatMap((waiting) => waiting.entries));
        for (const waiting of batch) waiting.resolve();
      } catch (error) {
        const told = storageError(error, this.#packDirectory);
        // After a failed synchronisation nobody knows what the disk holds.
        if (told.code !== "storage_full") this.#broken = told;
        for (const waiting of batch) waiting.reject(told);
        return;
      }
      if (this.#journal.size >= JOURNAL_BYTES) await this.#settle();
    });
    return promise;
  }

  async #settle(): Promise<void> {
    const small = this.#packs.filter((pack) => pack.size < SMALL_PACK_BYTES);
    await this.#repack(small.length > SMALL_PACKS ? small : [], () => true);
  }

  /** Writes what `keep` wants of these packs and of the journal as one pack, and removes where it came from. */
  async #repack(packs: Pack[], keep: (id: string) => boolean): Promise<void> {
    const others = this.#packs.filter((pack) => !packs.includes(pack));
    const taken = new Set<string>();
    const wanted = (id: string) => {
      if (taken.has(id) || !keep(id) || others.some((pack) => pack.find(Buffer.from(id, "hex")) >= 0)) return false;
      taken.add(id);
      return true;
    };
    const sources = packs.map((pack) => ({ pack, entries: [...pack.entries()].filter(({ id }) => wanted(id)) }));
    const journaled = [...this.#journal.ids()].filter(wanted);
    const journal = this.#journal;
    async function* entries(): AsyncGenerator<PackEntry> {
      for (const source of sources) {
        for (const { id, offset, length } of source.entries) yield { id, bytes: await source.pack.read(offset, length) };
      }
      for (const id of journaled) {
        const bytes = await journal.read(id);
        if (bytes !== undefined) yield { id, bytes };
      }
    }
    const written = taken.size === 0 ? undefined : await writePack(this.#packDirectory, taken.size, entries());
    this.#packs = written === undefined ? others : [...others, written];
    // The same objects make the same pack: then it must not be removed as one of those that it replaces.
    for (const pack of packs) await (pack.name === written?.name ? pack.close() : pack.remove());
    if (journal.size > 0) await journal.clear();
  }

  #ids(): string[] {
    const ids = new Set(this.#journal.ids());
    for (const pack of this.#packs) for (const { id } of pack.entries()) ids.add(id);
    return [...ids];
  }

  #size(): number {
    return this.#packs.reduce((size, pack) => size + pack.size, this.#journal.size);
  }

  #use(id: string): void {
    // Deleted first, so that the map stays in the order of last use.
    this.#recent.delete(id);
    this.#recent.set(id, this.#monotonic());
  }

  #forgetOld(): void {
    const oldest = this.#monotonic() - this.#graceMs;
    for (const [id, used] of this.#recent) {
      if (used > oldest) break;
      this.#recent.delete(id);
    }
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await result;
    } catch (error) {
      throw storageError(error, this.#packDirectory);
    }
  }
}

const BULK_BYTES = 4 * 1024 * 1024;
const BULK_OBJECTS = 1024;
const JOURNAL_BYTES = 16 * 1024 * 1024;
const SMALL_PACK_BYTES = 32 * 1024 * 1024;
const SMALL_PACKS = 24;
const READ_AHEAD = 8 * 1024;

/** Makes what git demands of a repository; returns the directory of packs. */
async function prepare(directory: string): Promise<string> {
  const packDirectory = join(directory, "objects", "pack");
  await mkdir(packDirectory, { recursive: true, mode: 0o700 });
  await mkdir(join(directory, "refs", "heads"), { recursive: true, mode: 0o700 });
  const create = async (name: string, content: string) => {
    try {
      await writeFile(join(directory, name), content, { flag: "wx", mode: 0o600 });
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error;
    }
  };
  await create("HEAD", "ref: refs/heads/none\n");
  await create(
    "config",
    "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tpreciousObjects = true\n[gc]\n\tauto = 0\n",
  );
  return packDirectory;
}

function storageError(error: unknown, directory: string): GuildError {
  if (error instanceof GuildError) return error;
  if (isCode(error, "ENOSPC") || isCode(error, "EDQUOT")) {
    return new GuildError("storage_full", "no space left to store a checkpoint", {
      subject: directory,
      remedy: "free space there",
      cause: error,
    });
  }
  return new GuildError("unavailable", "the checkpoint store cannot be read or written", { subject: directory, cause: error });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

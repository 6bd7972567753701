import { createHash, randomBytes } from "node:crypto";
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync } from "node:fs";
import { type FileHandle, lchown, lstat, mkdir, open, readlink, rename, rmdir, symlink, unlink } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";

/** One file, directory or link of a tree. */
export interface Entry {
  kind: "file" | "directory" | "symlink";
  /** Permission bits, without those that lend an identity. */
  mode: number;
  /** Differs when content, mode or the file itself has changed; of a directory only when its mode has. */
  signature: string;
  /** The last change is so young that another one need not show in the signature. */
  young: boolean;
}

/** An entry with what it holds: digest of a file's bytes, target of a link, nothing of a directory. */
export interface Content extends Entry {
  content: string;
}

/** Which of two numbers an owner has on the other side; every other owner stays. */
export interface Owners {
  original: { uid: number; gid: number };
  copy: { uid: number; gid: number };
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const CHUNK = 1 << 20;
const YOUNG_NS = 50_000_000n;

/**
 * A directory tree that somebody else may change at any moment, links included. Every step goes through the open directory above
 * it (`/proc/self/fd`), never follows a link, and so never leaves the tree. Paths are relative, one character a byte ("latin1"). One caller at a time.
 */
export class Tree {
  readonly #root: FileHandle;
  /** The directory used last: neighbours come one after the other. */
  #last: { path: string; handle: FileHandle } | undefined;

  readonly #owner: { uid: number; gid: number };

  readonly #staging: string | undefined;

  private constructor(root: FileHandle, owner: { uid: number; gid: number }, staging: string | undefined) {
    this.#root = root;
    this.#owner = owner;
    this.#staging = staging;
  }

  /**
   * `owner`: of directories that are missing on the way to something. `staging`: a directory of the same file system that is ours
   * alone, where files are made before they are put into the tree; default beside their place.
   */
  static async open(path: string, owner: { uid: number; gid: number }, staging?: string): Promise<Tree> {
    return new Tree(await open(path, DIRECTORY), owner, staging);
  }

  /** Opens a directory that is made when it is missing, for nobody but us. */
  static async create(path: string, owner: { uid: number; gid: number }): Promise<Tree> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return Tree.open(path, owner);
  }

  async close(): Promise<void> {
    await this.#forget();
    await this.#root.close();
  }

  /** Everything below the root; what is neither file, directory nor link is passed over. */
  async scan(): Promise<Map<string, Entry>> {
    await this.#forget();
    const found = new Map<string, Entry>();
    await this.#scan(this.#root.fd, "", found);
    return found;
  }

  /** The entry as it is now. */
  async look(path: string): Promise<Entry | undefined> {
    try {
      return entryOf(await lstat(await this.#at(path), { bigint: true }));
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** What the entry holds now; undefined when it is gone or has become something else. */
  async read(path: string, kind: Entry["kind"]): Promise<Content | undefined> {
    if (kind !== "file") {
      const entry = await this.look(path);
      if (entry?.kind !== kind) return undefined;
      return { ...entry, content: kind === "symlink" ? await readlink(await this.#at(path), "latin1") : "" };
    }
    return this.#withFile(path, async (file, entry, { size }) => ({ ...entry, content: await pump(file, size, undefined) }));
  }

  /** The bytes that a file or link holds now; undefined when it is gone or has become something else. */
  async bytes(path: string, kind: "file" | "symlink"): Promise<Buffer | undefined> {
    if (kind === "file") return this.#withFile(path, (file) => file.readFile());
    const held = await this.read(path, kind);
    return held === undefined ? undefined : Buffer.from(held.content, "latin1");
  }

  /** Puts what `from` has at this path here, over whatever of the same kind is here. Undefined: it is gone there. */
  async take(path: string, from: Tree, kind: Entry["kind"], owners: Owners): Promise<Content | undefined> {
    if (kind === "directory") return this.#takeDirectory(path, from, owners);
    if (kind === "symlink") {
      const held = await from.read(path, kind);
      if (held === undefined) return undefined;
      await this.#replace(path, from, owners, async (at, owner) => {
        await symlink(Buffer.from(held.content, "latin1"), at);
        await lchown(at, owner.uid, owner.gid);
      });
      return held;
    }
    return from.#withFile(path, async (file, entry, stat) => {
      let content = "";
      await this.#replace(path, from, owners, async (at, owner) => {
        const to = await open(at, NEW_FILE, 0o600);
        try {
          content = await pump(file, stat.size, to);
          await to.chown(owner.uid, owner.gid);
          await to.chmod(entry.mode);
          await to.utimes(Number(stat.atimeNs) / 1e9, Number(stat.mtimeNs) / 1e9);
        } finally {
          await to.close();
        }
      });
      return { ...entry, content };
    });
  }

  /** Removes an entry; false: a directory that still holds something. */
  async remove(path: string, kind: Entry["kind"]): Promise<boolean> {
    if (this.#last !== undefined && (this.#last.path === path || this.#last.path.startsWith(`${path}/`))) await this.#forget();
    try {
      const at = await this.#at(path);
      if (kind === "directory") await rmdir(at);
      else await unlink(at);
      return true;
    } catch (error) {
      if (isAbsent(error)) return true;
      if (["ENOTEMPTY", "EEXIST", "EBUSY", "EISDIR"].includes(codeOf(error) ?? "")) return false;
      throw error;
    }
  }

  /** Without waiting between entries, which would cost ten times as much; others get their turn between directories. */
  async #scan(directory: number, prefix: string, found: Map<string, Entry>): Promise<void> {
    for (const name of readdirSync(`/proc/self/fd/${directory}`, { encoding: "latin1" })) {
      const path = Buffer.from(`/proc/self/fd/${directory}/${name}`, "latin1");
      const stat = unlessAbsent(() => lstatSync(path, { bigint: true }));
      const entry = stat === undefined ? undefined : entryOf(stat);
      if (entry === undefined || name.startsWith(TEMPORARY)) continue;
      found.set(prefix + name, entry);
      if (entry.kind !== "directory") continue;
      const below = unlessAbsent(() => openSync(path, DIRECTORY));
      if (below === undefined) continue;
      try {
        if (found.size % 8 === 0) await setImmediate();
        await this.#scan(below, `${prefix + name}/`, found);
      } finally {
        closeSync(below);
      }
    }
  }

  async #takeDirectory(path: string, from: Tree, owners: Owners): Promise<Content | undefined> {
    const there = await lstat(await from.#at(path), { bigint: true }).catch(absent);
    const entry = there === undefined ? undefined : entryOf(there);
    if (there === undefined || entry?.kind !== "directory") return undefined;
    const at = await this.#at(path, true);
    const made = await mkdir(at, { mode: 0o700 }).then(
      () => true,
      (error: unknown) => {
        if (codeOf(error) !== "EEXIST") throw error;
        return false;
      },
    );
    const handle = await open(at, DIRECTORY);
    try {
      if (made) await handle.chown(swapped(there.uid, "uid", owners), swapped(there.gid, "gid", owners));
      await handle.chmod(entry.mode);
    } finally {
      await handle.close();
    }
    return { ...entry, content: "" };
  }

  /** Makes something aside and renames it over the path, with the owner of what was there, or else of what it comes from. */
  async #replace(
    path: string,
    from: Tree,
    owners: Owners,
    make: (at: Buffer, owner: { uid: number; gid: number }) => Promise<void>,
  ): Promise<void> {
    const source = await lstat(await from.#at(path), { bigint: true });
    const target = await this.#at(path, true);
    const former = await lstat(target, { bigint: true }).catch(absent);
    const name = TEMPORARY + randomBytes(8).toString("hex");
    const temporary = this.#staging === undefined ? await this.#at(join(parentOf(path), name)) : Buffer.from(`${this.#staging}/${name}`);
    try {
      await make(
        temporary,
        former === undefined
          ? { uid: swapped(source.uid, "uid", owners), gid: swapped(source.gid, "gid", owners) }
          : { uid: Number(former.uid), gid: Number(former.gid) },
      );
      await rename(temporary, target);
    } catch (error) {
      await unlink(temporary).catch(absent);
      throw error;
    }
  }

  async #withFile<T>(path: string, use: (file: FileHandle, entry: Entry, stat: BigIntStats) => Promise<T>): Promise<T | undefined> {
    let file: FileHandle | undefined;
    try {
      file = await open(await this.#at(path), FILE);
    } catch (error) {
      if (isAbsent(error) || codeOf(error) === "ENXIO") return undefined;
      throw error;
    }
    try {
      const stat = await file.stat({ bigint: true });
      const entry = entryOf(stat);
      if (entry?.kind !== "file") return undefined;
      return await use(file, entry, stat);
    } finally {
      await file.close();
    }
  }

  /** A name of the file for the kernel, through the directory above it. `make`: makes directories that are missing. */
  async #at(path: string, make = false): Promise<Buffer> {
    const parent = parentOf(path);
    const name = parent === "" ? path : path.slice(parent.length + 1);
    if (parent === "") return within(this.#root, name);
    if (this.#last?.path !== parent) {
      await this.#forget();
      let handle = this.#root;
      for (const part of parent.split("/")) {
        const above = handle;
        try {
          handle = await open(within(above, part), DIRECTORY).catch(async (error: unknown) => {
            if (!make || codeOf(error) !== "ENOENT") throw error;
            await mkdir(within(above, part), { mode: 0o755 });
            await lchown(within(above, part), this.#owner.uid, this.#owner.gid);
            return open(within(above, part), DIRECTORY);
          });
        } finally {
          if (above !== this.#root) await above.close();
        }
      }
      this.#last = { path: parent, handle };
    }
    return within(this.#last.handle, name);
  }

  async #forget(): Promise<void> {
    const handle = this.#last?.handle;
    this.#last = undefined;
    await handle?.close();
  }
}

/** Names of what is not yet whole. */
const TEMPORARY = ".guildhall-partial-";

function within(directory: FileHandle, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${directory.fd}/${name}`, "latin1");
}

function join(parent: string, name: string): string {
  return parent === "" ? name : `${parent}/${name}`;
}

function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "" : path.slice(0, at);
}

function entryOf(stat: BigIntStats): Entry | undefined {
  const kind = stat.isFile() ? "file" : stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "symlink" : undefined;
  if (kind === undefined) return undefined;
  const mode = Number(stat.mode) & 0o1777;
  const signature = kind === "directory" ? `d ${mode}` : `${kind} ${mode} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
  return { kind, mode, signature, young: kind === "file" && BigInt(Date.now()) * 1_000_000n - stat.ctimeNs < YOUNG_NS };
}

function swapped(id: bigint, which: "uid" | "gid", owners: Owners): number {
  const number = Number(id);
  if (number === owners.original[which]) return owners.copy[which];
  return number === owners.copy[which] ? owners.original[which] : number;
}

/** Digest of what is left of a file, written to `to` on the way. */
async function pump(file: FileHandle, size: bigint, to: FileHandle | undefined): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Number(size) + 1));
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return hash.digest("base64");
    const part = buffer.subarray(0, bytesRead);
    hash.update(part);
    for (let at = 0; to !== undefined && at < part.length;) at += (await to.write(part, at)).bytesWritten;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** Gone, or a link or another thing where something else was: somebody is at work there. */
function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ELOOP"].includes(codeOf(error) ?? "");
}

function absent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
  return undefined;
}

function unlessAbsent<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    return absent(error);
  }
}

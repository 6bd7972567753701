import { posix } from "node:path";

import { GuildError } from "../errors.ts";
import type { DirectoryEntry, FileStat, SandboxFiles } from "../ports/sandbox.ts";

interface Node {
  inode: bigint;
  kind: FileStat["kind"];
  bytes: Uint8Array;
  target: string;
  children: Map<string, Node>;
  mode: number;
  mtimeMs: number;
  links: number;
}

/** Who is told of changed paths (absolute, links resolved), and asked before each access: it throws when there is none any more. */
export interface FileWatch {
  touched(path: string): void;
  guard(): void;
}

/**
 * A file tree in memory with the semantics of the port: writes in place, links followed, hard links shared. For unit tests of what works
 * through `SandboxFiles`. There are no owners, and permissions stop nobody.
 */
export class MemoryFiles implements SandboxFiles {
  readonly #workspace: string;
  readonly #root: Node;
  #inodes = 0n;
  #time = 0;
  readonly #watch: FileWatch;

  constructor(workspace: string, watch: FileWatch = { touched: () => undefined, guard: () => undefined }) {
    this.#workspace = workspace;
    this.#watch = watch;
    this.#root = this.#node("directory", 0o755);
    let here = this.#root;
    for (const name of workspace.split("/").filter(Boolean)) {
      const next = this.#node("directory", 0o755);
      here.children.set(name, next);
      here = next;
    }
  }

  async stat(path: string, options?: { follow?: boolean }): Promise<FileStat> {
    const { node } = this.#find(path, options?.follow === true);
    if (node === undefined) throw missing(path);
    const { kind, mode, mtimeMs, links, inode } = node;
    return { kind, size: kind === "symlink" ? node.target.length : node.bytes.length, mode, mtimeMs, links, uid: 0, gid: 0, inode };
  }

  async realpath(path: string): Promise<string> {
    const found = this.#find(path, true);
    if (found.node === undefined) throw missing(path);
    return found.path;
  }

  async read(path: string, range?: { offset?: number; length?: number }): Promise<Uint8Array> {
    const { node } = this.#find(path, true);
    if (node === undefined) throw missing(path);
    if (node.kind !== "file") throw wrongKind(path);
    const offset = range?.offset ?? 0;
    return node.bytes.slice(offset, range?.length === undefined ? undefined : offset + range.length);
  }

  async write(path: string, bytes: Uint8Array, options: { mode?: number; exclusive?: boolean; parents?: boolean } = {}): Promise<void> {
    if (options.parents === true) await this.mkdir(posix.dirname(this.#absolute(path)), { parents: true });
    const found = this.#find(path, true);
    if (found.node !== undefined) {
      if (options.exclusive === true) throw new GuildError("already_exists", `${path} is there already`, { subject: path });
      if (found.node.kind !== "file") throw wrongKind(path);
      found.node.bytes = Uint8Array.from(bytes);
      found.node.mtimeMs = this.#tick();
      this.#watch.touched(found.path);
      return;
    }
    const node = this.#node("file", options.mode ?? 0o644);
    node.bytes = Uint8Array.from(bytes);
    this.#put(found.path, node);
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    const { node } = this.#find(path, true);
    if (node === undefined) throw missing(path);
    if (node.kind !== "directory") throw wrongKind(path);
    return [...node.children].map(([name, child]) => ({ name, kind: child.kind }));
  }

  async mkdir(path: string, options?: { parents?: boolean; mode?: number }): Promise<void> {
    const found = this.#find(path, true);
    if (found.node !== undefined) {
      if (options?.parents === true && found.node.kind === "directory") return;
      throw new GuildError("already_exists", `${path} is there already`, { subject: path });
    }
    if (options?.parents === true) await this.mkdir(posix.dirname(found.path), options);
    this.#put(found.path, this.#node("directory", options?.mode ?? 0o755));
  }

  async remove(path: string, options?: { recursive?: boolean }): Promise<void> {
    const found = this.#find(path, false);
    if (found.node === undefined) throw missing(path);
    if (found.node.children.size > 0 && options?.recursive !== true) {
      throw new GuildError("failed_precondition", `${path} is not empty`, { subject: path });
    }
    found.node.links -= 1;
    this.#take(found.path);
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [this.#find(from, false), this.#find(to, false)];
    if (source.node === undefined) throw missing(from);
    this.#take(source.path);
    this.#put(target.path, source.node);
  }

  async symlink(target: string, path: string): Promise<void> {
    const node = this.#node("symlink", 0o777);
    node.target = target;
    this.#add(path, node);
  }

  /** A second name for a file; beyond the port. */
  link(existing: string, path: string): void {
    const { node } = this.#find(existing, true);
    if (node === undefined) throw missing(existing);
    node.links += 1;
    this.#add(path, node);
  }

  async readlink(path: string): Promise<string> {
    const { node } = this.#find(path, false);
    if (node === undefined) throw missing(path);
    if (node.kind !== "symlink") throw wrongKind(path);
    return node.target;
  }

  async chmod(path: string, mode: number): Promise<void> {
    const { node, path: real } = this.#find(path, true);
    if (node === undefined) throw missing(path);
    node.mode = mode;
    this.#watch.touched(real);
  }

  async *walk(path: string, options?: { skip?: string[] }): AsyncGenerator<Array<{ path: string; stat: FileStat }>> {
    yield* this.#walk(path, "", options?.skip ?? []);
  }

  async *#walk(top: string, below: string, skip: readonly string[]): AsyncGenerator<Array<{ path: string; stat: FileStat }>> {
    const entries = (await this.list(posix.join(top, below))).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, kind } of entries) {
      const path = posix.join(below, name);
      yield [{ path, stat: await this.stat(posix.join(top, path)) }];
      if (kind === "directory" && ![name, path, `/${path}`].some((one) => skip.includes(one))) yield* this.#walk(top, path, skip);
    }
  }

  #node(kind: FileStat["kind"], mode: number): Node {
    this.#inodes += 1n;
    return { inode: this.#inodes, kind, bytes: new Uint8Array(), target: "", children: new Map(), mode, mtimeMs: this.#tick(), links: 1 };
  }

  #tick(): number {
    this.#time += 1;
    return this.#time;
  }

  #absolute(path: string): string {
    return posix.resolve(this.#workspace, path);
  }

  #add(path: string, node: Node): void {
    const found = this.#find(path, false);
    if (found.node !== undefined) throw new GuildError("already_exists", `${path} is there already`, { subject: path });
    this.#put(found.path, node);
  }

  #put(real: string, node: Node): void {
    this.#parent(real).children.set(posix.basename(real), node);
    this.#watch.touched(real);
  }

  #take(real: string): void {
    this.#parent(real).children.delete(posix.basename(real));
    this.#watch.touched(real);
  }

  #parent(real: string): Node {
    const { node } = this.#find(posix.dirname(real), true);
    if (node === undefined) throw missing(real);
    if (node.kind !== "directory") throw wrongKind(real);
    return node;
  }

  /** The real path, its last part perhaps not there, and the node. Throws `not_found` when a directory on the way is missing. */
  #find(path: string, follow: boolean, depth = 0): { path: string; node: Node | undefined } {
    this.#watch.guard();
    if (path === "" || path.includes("\0") || path.length > 4096) {
      throw new GuildError("invalid_argument", "this is no path", { subject: path.slice(0, 100) });
    }
    if (depth > 40) throw new GuildError("failed_precondition", `too many links in ${path}`, { subject: path });
    const parts = this.#absolute(path).split("/").filter(Boolean);
    let here = this.#root;
    let real = "/";
    for (const [index, name] of parts.entries()) {
      if (here.kind !== "directory") throw wrongKind(path);
      const next = here.children.get(name);
      const nextPath = posix.join(real, name);
      const last = index === parts.length - 1;
      if (next === undefined) {
        const rest = posix.join(real, ...parts.slice(index));
        return { path: rest, node: undefined };
      }
      if (next.kind === "symlink" && (!last || follow)) {
        return this.#find(posix.resolve(real, next.target, ...parts.slice(index + 1)), follow, depth + 1);
      }
      [here, real] = [next, nextPath];
    }
    return { path: real, node: here };
  }
}

function missing(path: string): GuildError {
  return new GuildError("not_found", `there is no ${path}`, { subject: path });
}

function wrongKind(path: string): GuildError {
  return new GuildError("failed_precondition", `${path} is of the wrong kind`, { subject: path });
}

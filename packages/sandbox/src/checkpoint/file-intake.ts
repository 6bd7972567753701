import {
  GIT_EXECUTABLE,
  GIT_FILE,
  GIT_SYMLINK,
  GuildError,
  pathToBytes,
  type FileStat,
  type Sandbox,
  type SandboxFiles,
} from "@guildhall/core";

import { directoryOf, joinPath, type KnownWorkspace } from "./known-workspace.ts";
import type { ObjectSink } from "./object-sink.ts";
import type { CheckpointRules } from "./rules.ts";
import { TaskPool } from "./task-pool.ts";
import { isAboutTheFile } from "./tracked-files.ts";
import { DirectoryNode, inodeNumber, isUnchanged } from "./workspace-tree.ts";

/** Reads files and links into a KnownWorkspace, several at a time in bounded memory, as the rules allow. */
export class FileIntake {
  /** Tracked files that ignore rules match. */
  readonly trackedIgnored = new Set<string>();
  /** How many files were read. */
  reads = 0;
  readonly #files: SandboxFiles;
  readonly #track: (paths: string[]) => Promise<void>;
  readonly #known: KnownWorkspace;
  readonly #rules: CheckpointRules;
  readonly #sink: ObjectSink;
  readonly #now: () => number;
  readonly #pool = new TaskPool(READ_BYTES);
  /** Growth of ignored files by readings that are under way. */
  #pendingIgnored = 0;

  constructor(sandbox: Sandbox, known: KnownWorkspace, rules: CheckpointRules, sink: ObjectSink, now: () => number) {
    this.#files = sandbox.files;
    this.#track = (paths) => sandbox.changes.track(paths);
    this.#known = known;
    this.#rules = rules;
    this.#sink = sink;
    this.#now = now;
  }

  /** Takes in what is no directory; `reread` even if its times say that it is unchanged. Resolves when the reading has begun. */
  async visit(path: string, stat: FileStat, reread: boolean): Promise<void> {
    const known = this.#known;
    const before = known.tree.get(path);
    if (before instanceof DirectoryNode) known.forget(path);
    const file = before instanceof DirectoryNode ? undefined : before;
    if (reread && stat.kind === "file" && stat.links > 1) known.tree.touchedLinks.add(inodeNumber(stat.inode));
    if (stat.kind === "other" || stat.kind === "directory") return known.leaveOut(path, "neither file, directory nor link");

    const coverage = known.coverage(path, false);
    const ignored = coverage === "ignored";
    if (coverage === "tracked") this.trackedIgnored.add(path);
    if (ignored && known.isTrackedOnly(directoryOf(path))) {
      known.forget(path);
      return known.omissions.set(joinPath(directoryOf(path), "*"), "ignored directories");
    }
    const growth = ignored ? stat.size - (file?.ignored ? file.size : 0) : 0;
    if (ignored && stat.size > this.#rules.maxIgnoredFileBytes) return known.leaveOut(path, "ignored files over the size limit");
    if (ignored && known.tree.ignoredBytes + this.#pendingIgnored + growth > this.#rules.maxIgnoredTotalBytes) {
      return known.leaveOut(path, "ignored files over the total");
    }
    if (stat.size > this.#rules.maxFileBytes) return known.leaveOut(path, "files over the size limit");

    const mode = stat.kind === "symlink" ? GIT_SYMLINK : (stat.mode & 0o100) === 0 ? GIT_FILE : GIT_EXECUTABLE;
    if (!reread && file !== undefined && isUnchanged(file, stat) && (file.mode === GIT_SYMLINK) === (mode === GIT_SYMLINK)) {
      if (file.mode !== mode || file.ignored !== ignored) known.tree.setFile(path, { ...file, mode, ignored });
      return;
    }
    this.#pendingIgnored += growth;
    await this.#pool.start(Math.max(stat.size, LEAST_WEIGHT), async () => {
      try {
        // Its content may change by a name in a directory that nobody watches.
        if (stat.kind === "file" && stat.links > 1) await this.#track([path]);
        const readAt = this.#now();
        const content = await this.#read(path, stat);
        if (content === undefined) return;
        this.reads++;
        const id = await this.#sink.add("blob", content);
        const ctimeMs = stat.ctimeMs ?? 0;
        const settled = content.length === stat.size && Math.max(stat.mtimeMs, ctimeMs) < readAt - SETTLING_MS;
        known.omissions.delete(path);
        known.tree.setFile(path, {
          mode,
          id,
          size: content.length,
          mtimeMs: stat.mtimeMs,
          ctimeMs,
          inode: inodeNumber(stat.inode),
          linked: stat.kind === "file" && stat.links > 1,
          ignored,
          settled,
        });
      } finally {
        this.#pendingIgnored -= growth;
      }
    });
  }

  /**
   * Reads files again whose content another name may have changed, the tracker telling only of the name that was used. Returns the
   * directories whose ignore rules have changed by this.
   */
  async visitTouchedLinks(): Promise<string[]> {
    await this.drain();
    const { tree } = this.#known;
    if (tree.touchedLinks.size === 0) return [];
    const ignoreFiles: Array<{ path: string; id: string }> = [];
    for (const [path, file] of tree.files()) {
      if (!tree.touchedLinks.has(file.inode)) continue;
      if (path === ".gitignore" || path.endsWith("/.gitignore")) ignoreFiles.push({ path, id: file.id });
      const stat = await this.stat(path);
      if (stat?.kind === "file") await this.visit(path, stat, true);
    }
    await this.drain();
    tree.touchedLinks.clear();
    const changed = ignoreFiles.filter(({ path, id }) => {
      const now = tree.get(path);
      return now !== undefined && !(now instanceof DirectoryNode) && now.id !== id;
    });
    return changed.map(({ path }) => directoryOf(path));
  }

  /** Undefined: there is nothing, or nothing that can be reached. */
  async stat(path: string): Promise<FileStat | undefined> {
    try {
      return await this.#files.stat(path);
    } catch (error) {
      if (isAboutTheFile(error)) return undefined;
      throw error;
    }
  }

  /** All that was begun is read. */
  async drain(): Promise<void> {
    await this.#pool.drain();
  }

  /** Undefined: it is gone or has become something else, of which the tracker will tell; or it cannot be read, which is noted. */
  async #read(path: string, stat: FileStat): Promise<Uint8Array | undefined> {
    try {
      return stat.kind === "symlink" ? pathToBytes(await this.#files.readlink(path)) : await this.#files.read(path);
    } catch (error) {
      if (!isAboutTheFile(error)) throw error;
      // A name that a sandbox cannot carry reads as gone although it was listed.
      if (GuildError.is(error, "permission_denied") || path.includes("\ufffd")) this.#known.leaveOut(path, "unreadable");
      else this.#known.forget(path);
      return undefined;
    }
  }
}

/** Bytes of files that are being read at a time. */
const READ_BYTES = 32 * 1024 * 1024;
/** What a file counts at least, which bounds how many are read at a time. */
const LEAST_WEIGHT = 256 * 1024;
/** Coarsest step of file times, with slack for a clock that differs from ours. */
const SETTLING_MS = 2000;

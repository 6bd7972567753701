import { type FSWatcher, watch } from "node:fs";
import { lstat, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";

/** Directories whose content nobody writes by hand. */
const PASSED_OVER = new Set(
  ".git .hg .svn node_modules vendor target dist build out .next .cache .direnv .venv venv __pycache__ .mypy_cache .pytest_cache .ruff_cache coverage .gradle .idea".split(
    " ",
  ),
);

/** Files of git's directory that are written when HEAD becomes another: a switched branch, a commit, a pull, a reset. */
const OF_HEAD = new Set(["HEAD", "index", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "packed-refs"]);

export interface WatchOptions {
  /** Git's own directory of the workspace, absolute, where it is another than `.git`. */
  git?: string;
  /** Directories watched at most, those near the root first; beyond them `incomplete` says so. Default 16,384. */
  mostDirectories?: number;
  /** Paths remembered at most between two calls of `take`. Default 2,000. */
  mostPaths?: number;
}

/** What was touched since the last look. */
export interface Touched {
  /** Relative paths, in order of the first touch, with the time of the last one by `performance.now()`. */
  paths: ReadonlyMap<string, number>;
  /** More was touched than is remembered, or the system dropped some. */
  overflow: boolean;
}

/**
 * Watches a project's directories for changes, without polling: generated and foreign ones are left out, no link is followed. One watch a
 * directory; a touch costs one entry in a map, however often it comes.
 */
export class WorkspaceWatch {
  readonly #root: string;
  readonly #most: Required<Omit<WatchOptions, "git">>;
  readonly #git: string | undefined;
  readonly #watchers = new Map<string, FSWatcher>();
  #touched = new Map<string, number>();
  #overflow = false;
  #closed = false;
  /** Resolves when every directory that was there at the start is watched. */
  readonly ready: Promise<void>;
  /** There are more directories than are watched. */
  incomplete = false;

  /** `root`: a real path. */
  constructor(root: string, options: WatchOptions = {}) {
    this.#root = root;
    const { git, ...most } = options;
    this.#git = git;
    this.#most = { mostDirectories: 16_384, mostPaths: 2_000, ...most };
    this.ready = this.#begin();
    this.ready.catch(() => undefined); // told to who awaits it
  }

  /** What was touched since the last call. What the system has reported by now is in it. */
  async take(): Promise<Touched> {
    await this.ready;
    // Two rounds of the event loop: what the kernel had queued has been read then.
    for (let round = 0; round < 2; round++) await new Promise((resolve) => setImmediate(resolve));
    const taken = { paths: this.#touched, overflow: this.#overflow };
    this.#touched = new Map();
    this.#overflow = false;
    return taken;
  }

  /** Whether changes of a file, by its relative path, are told. */
  watches(path: string): boolean {
    const at = path.lastIndexOf("/");
    return this.#watchers.has(at < 0 ? "" : path.slice(0, at)) && !PASSED_OVER.has(path.slice(at + 1));
  }

  /** Directories that are watched. */
  get size(): number {
    return this.#watchers.size;
  }

  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #begin(): Promise<void> {
    // Branches are switched by renaming a file in here; what lies below is of no interest.
    await this.#watchOne(".git");
    await this.#add("");
  }

  async #add(directory: string): Promise<void> {
    const waiting = [directory];
    // The list grows while it is walked: what lies near the root comes first.
    for (const next of waiting) {
      if (!(await this.#watchOne(next))) continue;
      const entries = await readdir(join(this.#root, next), { withFileTypes: true }).catch(() => []); // gone meanwhile
      for (const entry of entries) {
        if (entry.isDirectory() && !PASSED_OVER.has(entry.name)) waiting.push(next === "" ? entry.name : `${next}/${entry.name}`);
      }
    }
  }

  async #watchOne(directory: string): Promise<boolean> {
    if (this.#closed || this.#watchers.has(directory)) return false;
    if (this.#watchers.size >= this.#most.mostDirectories) {
      this.incomplete = true;
      return false;
    }
    const full = directory === ".git" && this.#git !== undefined ? this.#git : join(this.#root, directory);
    try {
      if ((await realpath(full)) !== full || !(await lstat(full)).isDirectory() || this.#closed) return false;
      const watcher = watch(full, { persistent: false }, (_, name) => this.#onEvent(directory, name));
      watcher.on("error", () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EMFILE")) this.incomplete = true;
      return false; // gone, or not ours to see
    }
  }

  #onEvent(directory: string, name: string | null): void {
    if (name === null || this.#closed) return void (this.#overflow = true);
    if (directory === ".git" && !OF_HEAD.has(name)) return;
    // Whatever of it was touched, it is HEAD that may be another.
    const path = directory === "" ? name : directory === ".git" ? ".git/HEAD" : `${directory}/${name}`;
    if (PASSED_OVER.has(name)) return;
    if (!this.#touched.has(path) && this.#touched.size >= this.#most.mostPaths) this.#overflow = true;
    else this.#touched.set(path, performance.now());
    if (directory === ".git") return;
    // A new directory: watched from now on. What was put into it before is in it, not in the list; its own name is.
    this.#add(path).catch(() => undefined); // no directory, or gone
  }
}

import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

import { WorkspaceWatch } from "../state/workspace-watch.ts";

/** A file that was changed beside a server: absolute path as the server sees it, kinds of change of the protocol (1 created, 2 changed, 3 deleted). */
export interface FileChange {
  path: string;
  types: readonly number[];
}

/** What a server has to be told; undefined: too much, or what it takes its libraries from has changed, and it is better started anew. */
export type News = readonly FileChange[] | undefined;

/** Files of new directories that are told one by one. */
const MOST_FILES = 500;
/** With these the packages change in which servers look things up, and which nobody watches. */
const LOCK_FILES = new Set(
  "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb poetry.lock uv.lock Pipfile.lock requirements.txt".split(
    " ",
  ),
);

/** Changes of a workspace's files as language servers are told them. */
export class FileChanges {
  readonly #watch: WorkspaceWatch;
  readonly #root: string;
  readonly #shown: string;
  readonly #seen = new Set<string>();

  /** @param root where the files are on this machine. @param shown where the servers see them. */
  constructor(root: string, shown: string) {
    this.#root = root;
    this.#shown = shown;
    this.#watch = new WorkspaceWatch(root);
  }

  get ready(): Promise<void> {
    return this.#watch.ready;
  }

  /** Since the last call. */
  async take(): Promise<News> {
    const { paths, overflow } = await this.#watch.take();
    if (overflow) return undefined;
    const news: FileChange[] = [];
    for (const path of paths.keys()) {
      if (path.startsWith(".git/")) continue;
      if (LOCK_FILES.has(path.slice(path.lastIndexOf("/") + 1))) return undefined;
      if (!(await this.#add(path, news)) || news.length > MOST_FILES) return undefined;
    }
    return news;
  }

  close(): void {
    this.#watch.close();
  }

  /** False: more than is told one by one. */
  async #add(path: string, news: FileChange[]): Promise<boolean> {
    const stat = await lstat(join(this.#root, path)).catch(() => undefined); // gone meanwhile
    const shown = join(this.#shown, path);
    if (stat?.isDirectory() === true) {
      const entries = await readdir(join(this.#root, path)).catch(() => []); // gone meanwhile
      if (news.length + entries.length > MOST_FILES) return false;
      for (const entry of entries) if (!(await this.#add(`${path}/${entry}`, news))) return false;
      return true;
    }
    // Whether it was there before is not known the first time; a server that is told both does what is right for either.
    const types = stat === undefined ? [3] : this.#seen.has(path) ? [2] : [2, 1];
    if (stat === undefined) this.#seen.delete(path);
    else if (this.#seen.size < 10_000) this.#seen.add(path);
    news.push({ path: shown, types });
    return true;
  }
}

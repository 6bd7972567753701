import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { KnownWorkspace } from "./known-workspace.ts";
import { Omissions, type OmissionReason } from "./omissions.ts";
import { DirectoryNode, WorkspaceTree, type FileNode } from "./workspace-tree.ts";

/**
 * What was known of a workspace at the end of an earlier session, so that the next one reads only files whose times differ. Only a cache:
 * without it, or when it cannot be understood, everything is read again.
 */
export class StateFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #workspace: string;

  constructor(directory: string, workspace: string) {
    const name = createHash("sha256").update(workspace).digest("hex").slice(0, 32);
    this.#directory = directory;
    this.#path = join(directory, `checkpoint-${name}.json`);
    this.#workspace = workspace;
  }

  async load(): Promise<{ tree: string; known: KnownWorkspace } | undefined> {
    await this.#removeLeftovers();
    let text: string;
    try {
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
    const stored = parse(text);
    if (stored?.version !== VERSION || stored.workspace !== this.#workspace) return undefined;
    const tree = new WorkspaceTree();
    fill(tree.root, stored.root);
    tree.ignoredBytes = [...tree.files()].reduce((sum, [, file]) => sum + (file.ignored ? file.size : 0), 0);
    const omissions = new Omissions();
    for (const [path, reason] of stored.omissions) omissions.set(path, reason);
    return { tree: stored.tree, known: new KnownWorkspace(tree, omissions) };
  }

  /** `tree` and all that it names must be in the store. */
  async save(tree: string, known: KnownWorkspace): Promise<void> {
    const stored: Stored = {
      version: VERSION,
      workspace: this.#workspace,
      tree,
      omissions: [...known.omissions.entries()],
      root: record(known.tree.root),
    };
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    // Agents that share a workspace save at the same moment: each writes a file of its own.
    const own = `${this.#path}.${randomUUID()}${UNFINISHED}`;
    try {
      await writeFile(own, JSON.stringify(stored), { mode: 0o600 });
      await rename(own, this.#path);
    } catch (error) {
      await rm(own, { force: true });
      throw error;
    }
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  /** What a writer that was killed has left; the others, who may be writing just now, are through long before. */
  async #removeLeftovers(): Promise<void> {
    const names = await readdir(this.#directory).catch(() => []); // nothing was kept yet
    for (const name of names) {
      if (!name.endsWith(UNFINISHED)) continue;
      const file = join(this.#directory, name);
      const found = await stat(file).catch(() => undefined); // finished meanwhile
      if (found !== undefined && Date.now() - found.mtimeMs > LEFT_AFTER_MS) await rm(file, { force: true });
    }
  }
}

const UNFINISHED = ".new";
const LEFT_AFTER_MS = 3_600_000;
const VERSION = 1;

interface Stored {
  version: number;
  workspace: string;
  tree: string;
  omissions: Array<[string, OmissionReason]>;
  root: StoredDirectory;
}

interface StoredDirectory {
  trackedOnly: boolean;
  files: Array<[name: string, mode: number, id: string, size: number, mtimeMs: number, ctimeMs: number, inode: number, flags: number]>;
  directories: Array<[name: string, StoredDirectory]>;
}

function parse(text: string): Stored | undefined {
  try {
    return JSON.parse(text) as Stored;
  } catch {
    // Cut short by a power failure.
    return undefined;
  }
}

function record(directory: DirectoryNode): StoredDirectory {
  const stored: StoredDirectory = { trackedOnly: directory.trackedOnly, files: [], directories: [] };
  for (const [name, child] of directory.children) {
    if (child instanceof DirectoryNode) stored.directories.push([name, record(child)]);
    else {
      const flags = (child.ignored ? 1 : 0) + (child.settled ? 2 : 0) + (child.linked ? 4 : 0);
      stored.files.push([name, child.mode, child.id, child.size, child.mtimeMs, child.ctimeMs, child.inode, flags]);
    }
  }
  return stored;
}

function fill(directory: DirectoryNode, stored: StoredDirectory): void {
  directory.trackedOnly = stored.trackedOnly;
  for (const [name, mode, id, size, mtimeMs, ctimeMs, inode, flags] of stored.files) {
    const file: FileNode = {
      mode,
      id,
      size,
      mtimeMs,
      ctimeMs,
      inode,
      ignored: (flags & 1) !== 0,
      linked: (flags & 4) !== 0,
      settled: (flags & 2) !== 0,
    };
    directory.children.set(name, file);
  }
  for (const [name, below] of stored.directories) {
    const child = new DirectoryNode();
    directory.children.set(name, child);
    fill(child, below);
  }
}

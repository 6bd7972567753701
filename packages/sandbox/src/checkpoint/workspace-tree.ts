import { EMPTY_TREE, encodeTree, GIT_TREE, sortTree, type FileStat, type TreeEntry } from "@guildhall/core";

import type { ObjectSink } from "./object-sink.ts";

/** A file or symbolic link as it was when it was last read. */
export interface FileNode {
  mode: number;
  /** Its blob. */
  id: string;
  size: number;
  mtimeMs: number;
  ctimeMs: number;
  inode: number;
  /** It had further names. */
  linked: boolean;
  /** Git would ignore it; it is here because it is small. */
  ignored: boolean;
  /** It was old enough when it was read that a later change must show in its times. */
  settled: boolean;
}

/** A directory that is watched. One whose files are all gone stays here and is left out of the tree, as in git. */
export class DirectoryNode {
  readonly children = new Map<string, FileNode | DirectoryNode>();
  /** Id of its tree object; undefined: something below has changed since it was made. */
  id: string | undefined;
  /** Ignored, but files that git tracks lie below: only those are covered. */
  trackedOnly = false;
}

/** What is known of the workspace's covered files, as a tree whose ids are recomputed along changed paths only. Paths are relative, "" is the root. */
export class WorkspaceTree {
  readonly root = new DirectoryNode();
  /** Size of all ignored files here. */
  ignoredBytes = 0;
  /** Inodes of several names of which one was read or went: the others may have changed with it. */
  readonly touchedLinks = new Set<number>();
  /** What files were when the last checkpoint was made, for those touched since: `mode id`, or undefined for absent. */
  readonly #before = new Map<string, string | undefined>();

  get(path: string): FileNode | DirectoryNode | undefined {
    let node: FileNode | DirectoryNode | undefined = this.root;
    if (path === "") return node;
    for (const name of path.split("/")) {
      if (!(node instanceof DirectoryNode)) return undefined;
      node = node.children.get(name);
    }
    return node;
  }

  /** The directory there, made when it is not; a file in its way is removed. */
  makeDirectory(path: string): DirectoryNode {
    const known = this.get(path);
    if (known instanceof DirectoryNode) return known;
    if (known !== undefined) this.remove(path);
    const { parent, name } = this.#parent(path);
    const made = new DirectoryNode();
    parent.children.set(name, made);
    return made;
  }

  setFile(path: string, file: FileNode): void {
    const { parent, name } = this.#parent(path);
    let old = parent.children.get(name);
    if (old instanceof DirectoryNode) {
      this.remove(path);
      old = undefined;
    }
    if (old?.ignored) this.ignoredBytes -= old.size;
    if (file.ignored) this.ignoredBytes += file.size;
    if (old?.linked) this.touchedLinks.add(old.inode);
    if (file.linked) this.touchedLinks.add(file.inode);
    parent.children.set(name, file);
    if (old !== undefined && old.id === file.id && old.mode === file.mode) return;
    this.#remember(path, old);
    this.#invalidate(path);
  }

  /** Removes the file or the directory with all below it; does nothing when there is none. */
  remove(path: string): void {
    const node = this.get(path);
    if (node === undefined || path === "") return;
    const files: Iterable<[string, FileNode]> = node instanceof DirectoryNode ? this.files(path) : [[path, node]];
    for (const [gone, file] of files) {
      this.#remember(gone, file);
      if (file.ignored) this.ignoredBytes -= file.size;
      if (file.linked) this.touchedLinks.add(file.inode);
    }
    const { parent, name } = this.#parent(path);
    parent.children.delete(name);
    this.#invalidate(path);
  }

  /** Files below a directory, in no particular order. */
  *files(directory = ""): Generator<[string, FileNode]> {
    const start = this.get(directory);
    if (!(start instanceof DirectoryNode)) return;
    const waiting: Array<[string, DirectoryNode]> = [[directory, start]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const [name, node] of next[1].children) {
        const path = next[0] === "" ? name : `${next[0]}/${name}`;
        if (node instanceof DirectoryNode) waiting.push([path, node]);
        else yield [path, node];
      }
    }
  }

  /** All directories, parents before children, the root as "". */
  directories(): string[] {
    const paths = [""];
    for (let at = 0; at < paths.length; at++) {
      const path = paths[at] ?? "";
      const node = this.get(path);
      if (!(node instanceof DirectoryNode)) continue;
      for (const [name, child] of node.children) {
        if (child instanceof DirectoryNode) paths.push(path === "" ? name : `${path}/${name}`);
      }
    }
    return paths;
  }

  /** Gives the tree objects of changed directories to the sink, children first; returns the id of the whole. */
  async encode(sink: ObjectSink): Promise<string> {
    const id = await encodeDirectory(this.root, sink);
    if (id === EMPTY_TREE) await sink.add("tree", Buffer.alloc(0));
    return id;
  }

  /** How many files differ from what they were at the last call. */
  takeChanged(): number {
    let changed = 0;
    for (const [path, before] of this.#before) {
      const now = this.get(path);
      if (before !== (now === undefined || now instanceof DirectoryNode ? undefined : version(now))) changed++;
    }
    this.#before.clear();
    return changed;
  }

  #parent(path: string): { parent: DirectoryNode; name: string } {
    const slash = path.lastIndexOf("/");
    return { parent: slash < 0 ? this.root : this.makeDirectory(path.slice(0, slash)), name: path.slice(slash + 1) };
  }

  #remember(path: string, file: FileNode | undefined): void {
    if (!this.#before.has(path)) this.#before.set(path, file && version(file));
  }

  #invalidate(path: string): void {
    let node: FileNode | DirectoryNode | undefined = this.root;
    for (const name of path.split("/")) {
      if (!(node instanceof DirectoryNode)) return;
      node.id = undefined;
      node = node.children.get(name);
    }
  }
}

/** Whether the file is certainly still what was read. */
export function isUnchanged(file: FileNode, stat: FileStat): boolean {
  return (
    file.settled &&
    file.size === stat.size &&
    file.mtimeMs === stat.mtimeMs &&
    file.ctimeMs === (stat.ctimeMs ?? 0) &&
    file.inode === inodeNumber(stat.inode)
  );
}

/** The low bits, which is what tells inodes of one file system apart. */
export function inodeNumber(inode: bigint): number {
  return Number(BigInt.asUintN(53, inode));
}

function version(file: FileNode): string {
  return `${file.mode} ${file.id}`;
}

async function encodeDirectory(directory: DirectoryNode, sink: ObjectSink): Promise<string> {
  if (directory.id !== undefined) return directory.id;
  const entries: TreeEntry[] = [];
  for (const [name, child] of directory.children) {
    if (!(child instanceof DirectoryNode)) entries.push({ name, mode: child.mode, id: child.id });
    else {
      const id = await encodeDirectory(child, sink);
      if (id !== EMPTY_TREE) entries.push({ name, mode: GIT_TREE, id });
    }
  }
  directory.id = entries.length === 0 ? EMPTY_TREE : await sink.add("tree", encodeTree(sortTree(entries)));
  return directory.id;
}

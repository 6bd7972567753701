import { createHash } from "node:crypto";

import { bytesToPath, pathToBytes } from "./byte-path.ts";
import { GuildError } from "./errors.ts";
import type { GitObjectKind } from "./ports/checkpoint.ts";

/** File modes that a git tree can hold, of those that checkpoints use. */
export const GIT_FILE = 0o100644;
export const GIT_EXECUTABLE = 0o100755;
export const GIT_SYMLINK = 0o120000;
export const GIT_TREE = 0o40000;

/** Id of the tree that holds nothing. */
export const EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/** One line of a tree. `name` is a single path component, as `bytesToPath` writes it. */
export interface TreeEntry {
  name: string;
  mode: number;
  /** Forty hexadecimal digits. */
  id: string;
}

/** The SHA-1 name that git gives to this object. */
export function gitObjectId(kind: GitObjectKind, content: Uint8Array): string {
  return createHash("sha1").update(`${kind} ${content.length}\0`).update(content).digest("hex");
}

/** Puts entries into the order that git demands: by the bytes of their names, directories as if they ended in a slash. */
export function sortTree<Entry extends { name: string; mode: number }>(entries: Entry[]): Entry[] {
  const keyed = entries.map((entry) => {
    const bytes = ascii.test(entry.name) ? entry.name : pathToBytes(entry.name).toString("latin1");
    return { key: entry.mode === GIT_TREE ? `${bytes}/` : bytes, entry };
  });
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ entry }) => entry);
}

/** Content of a tree object; `entries` in the order of `sortTree`. */
export function encodeTree(entries: TreeEntry[]): Buffer {
  const heads = entries.map((entry) => {
    const head = `${entry.mode.toString(8)} ${entry.name}\0`;
    return ascii.test(entry.name) ? head : pathToBytes(head);
  });
  const tree = Buffer.allocUnsafe(heads.reduce((size, head) => size + head.length + 20, 0));
  let at = 0;
  for (const [index, head] of heads.entries()) {
    if (typeof head === "string") tree.write(head, at, "latin1");
    else head.copy(tree, at);
    tree.write(entries[index]?.id ?? "", at + head.length, 20, "hex");
    at += head.length + 20;
  }
  return tree;
}

/** Throws `corrupt` when it is no tree. */
export function decodeTree(content: Uint8Array): TreeEntry[] {
  const tree = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const entries: TreeEntry[] = [];
  for (let at = 0; at < tree.length;) {
    const space = tree.indexOf(0x20, at);
    const end = tree.indexOf(0, space);
    if (space < 0 || end < 0 || end + 21 > tree.length) throw new GuildError("corrupt", "a tree object is malformed");
    entries.push({
      mode: Number.parseInt(tree.toString("latin1", at, space), 8),
      name: bytesToPath(tree.subarray(space + 1, end)),
      id: tree.toString("hex", end + 1, end + 21),
    });
    at = end + 21;
  }
  return entries;
}

/**
 * Ids of everything that is reachable from these trees, themselves included. Trees that `read` does not find (undefined) are left out.
 */
export async function reachableObjects(
  roots: Iterable<string>,
  read: (tree: string) => Promise<Uint8Array | undefined>,
): Promise<Set<string>> {
  const reached = new Set<string>();
  const waiting = [...roots];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (reached.has(id)) continue;
    const content = await read(id);
    if (content === undefined) continue;
    reached.add(id);
    for (const entry of decodeTree(content)) {
      if (entry.mode === GIT_TREE) waiting.push(entry.id);
      else reached.add(entry.id);
    }
  }
  return reached;
}

const ascii = /^[\0-\x7f]*$/;

import { decodeTree, EMPTY_TREE, GIT_TREE, GuildError, type CheckpointStore, type TreeChange, type TreeEntry } from "@guildhall/core";

import { joinPath } from "./known-workspace.ts";

/** One file or link that differs; `from` undefined: added, `to` undefined: deleted. */
export interface FileDifference extends TreeChange {
  from: { mode: number; id: string } | undefined;
  to: { mode: number; id: string } | undefined;
}

/** Files that differ between two trees, by path; reads only trees that differ. Throws `not_found`, `corrupt`. */
export async function diffTrees(store: CheckpointStore, from: string, to: string): Promise<FileDifference[]> {
  const differences: FileDifference[] = [];
  const compare = async (directory: string, fromTree: string | undefined, toTree: string | undefined): Promise<void> => {
    const fromEntries = await readTree(store, fromTree);
    const toEntries = await readTree(store, toTree);
    for (const name of new Set([...fromEntries.keys(), ...toEntries.keys()])) {
      const before = fromEntries.get(name);
      const after = toEntries.get(name);
      if (before?.id === after?.id && before?.mode === after?.mode) continue;
      const path = joinPath(directory, name);
      if (before?.mode === GIT_TREE || after?.mode === GIT_TREE) await compare(path, treeOf(before), treeOf(after));
      const file = { path, from: fileOf(before), to: fileOf(after) };
      if (file.from !== undefined || file.to !== undefined) {
        differences.push({ ...file, change: file.from === undefined ? "added" : file.to === undefined ? "deleted" : "modified" });
      }
    }
  };
  if (from !== to) await compare("", from, to);
  return differences.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** Entries of a tree by name; of none when there is no tree. */
export async function readTree(store: CheckpointStore, id: string | undefined): Promise<Map<string, TreeEntry>> {
  if (id === undefined || id === EMPTY_TREE) return new Map();
  const { kind, content } = await store.get(id);
  if (kind !== "tree") throw new GuildError("invalid_argument", `${id} is no checkpoint`, { subject: id });
  return new Map(decodeTree(content).map((entry) => [entry.name, entry]));
}

function treeOf(entry: TreeEntry | undefined): string | undefined {
  return entry?.mode === GIT_TREE ? entry.id : undefined;
}

function fileOf(entry: TreeEntry | undefined): { mode: number; id: string } | undefined {
  return entry === undefined || entry.mode === GIT_TREE ? undefined : { mode: entry.mode, id: entry.id };
}

import { GIT_TREE, GuildError, type CheckpointStore, type SandboxFiles } from "@guildhall/core";

import { IgnoreRules } from "./ignore-rules.ts";
import { directoryOf, joinPath, type KnownWorkspace } from "./known-workspace.ts";
import { diffTrees, readTree, type FileDifference } from "./tree-diff.ts";
import { DirectoryNode } from "./workspace-tree.ts";

/** What has to be done to a workspace so that what checkpoints cover of it equals a tree. */
export interface RestorePlan {
  removals: FileDifference[];
  writes: FileDifference[];
  /** Directories that stand where a file has to be, deepest first; empty once `removals` are done. */
  blockingDirectories: string[];
  /** Files that no checkpoint holds and that stand where a file has to be: they are renamed. */
  asides: string[];
}

/**
 * Compares what is known, which must be up to date, with the tree. Nothing is planned that destroys what no checkpoint holds: files that are ignored now
 * or were at the time of the tree stay, what stands in the way is renamed. Throws `failed_precondition` when something stands in the way
 * that cannot be renamed, before anything is changed; `not_found`, `corrupt` for the tree.
 */
export async function planRestore(
  current: string,
  tree: string,
  known: KnownWorkspace,
  store: CheckpointStore,
  files: SandboxFiles,
): Promise<RestorePlan> {
  const differences = await diffTrees(store, current, tree);
  const plan: RestorePlan = { removals: [], writes: [], blockingDirectories: [], asides: [] };
  const wanted = new Set<string>();
  for (const { path, to } of differences) {
    for (let at = to === undefined ? "" : path; at !== ""; at = directoryOf(at)) wanted.add(at);
  }
  const wasIgnored = await ignoredThen(differences, tree, known, store);
  const gone = differences.filter(({ to }) => to === undefined);
  for (const difference of gone) {
    const { path } = difference;
    const node = known.tree.get(path);
    const ignored = (node !== undefined && !(node instanceof DirectoryNode) && node.ignored) || (await wasIgnored(path));
    // In the way of what is to come, it goes even then: the checkpoint of the present holds it.
    if (!ignored || wanted.has(path) || isBelow(path, wanted, known)) plan.removals.push(difference);
  }

  const removed = new Set(plan.removals.map(({ path }) => path));
  const conflicts: string[] = [];
  for (const difference of differences) {
    const { path, to } = difference;
    if (to === undefined) continue;
    const obstacle = obstacleAbove(path, known);
    if (obstacle !== undefined) {
      conflicts.push(obstacle);
      continue;
    }
    if (known.tree.get(path) instanceof DirectoryNode) {
      const { directories, uncovered } = await inside(path, removed, files);
      plan.blockingDirectories.push(...directories);
      conflicts.push(...uncovered);
    }
    const omission = known.omissions.get(path);
    if (omission === "ignored directories") conflicts.push(path);
    else if (omission === "ignored files over the size limit" || omission === "ignored files over the total") continue;
    else if (omission !== undefined) plan.asides.push(path);
    plan.writes.push(difference);
  }
  if (conflicts.length > 0) {
    throw new GuildError(
      "failed_precondition",
      `restoring would destroy what no checkpoint holds: ${[...new Set(conflicts)].slice(0, 5).join(", ")}`,
      {
        subject: conflicts[0] ?? "",
        remedy: "move it out of the way and restore again",
      },
    );
  }
  return plan;
}

/** Whether a path was ignored by the rules of the tree. Where rules did not change, none that is covered now was. */
async function ignoredThen(
  differences: FileDifference[],
  tree: string,
  known: KnownWorkspace,
  store: CheckpointStore,
): Promise<(path: string) => Promise<boolean>> {
  if (!differences.some(({ path }) => path === ".gitignore" || path.endsWith("/.gitignore"))) return async () => false;
  const rules = new IgnoreRules(known.ignore);
  const trees = new Map([["", await readTree(store, tree)]]);
  const enter = async (directory: string): Promise<Awaited<ReturnType<typeof readTree>>> => {
    const seen = trees.get(directory);
    if (seen !== undefined) return seen;
    const parent = await enter(directoryOf(directory));
    const entry = parent.get(directory.slice(directory.lastIndexOf("/") + 1));
    const entries = await readTree(store, entry?.mode === GIT_TREE ? entry.id : undefined);
    trees.set(directory, entries);
    return entries;
  };
  const loaded = new Set<string>();
  const load = async (directory: string): Promise<void> => {
    if (loaded.has(directory)) return;
    loaded.add(directory);
    const ignoreFile = (await enter(directory)).get(".gitignore");
    if (ignoreFile !== undefined) rules.setDirectory(directory, (await store.get(ignoreFile.id)).content);
  };
  return async (path) => {
    if (known.tracked.has(path)) return false;
    let at = "";
    for (const name of path.split("/")) {
      await load(at);
      at = joinPath(at, name);
      if (rules.ignores(at, at !== path)) return true;
    }
    return false;
  };
}

/** Whether the path lies in a directory where the tree has a file. */
function isBelow(path: string, wanted: Set<string>, known: KnownWorkspace): boolean {
  for (let at = directoryOf(path); at !== ""; at = directoryOf(at)) {
    if (wanted.has(at) && known.tree.get(at) instanceof DirectoryNode) return true;
  }
  return false;
}

/** What no checkpoint holds and stands where a directory above the path has to be. */
function obstacleAbove(path: string, known: KnownWorkspace): string | undefined {
  for (let at = directoryOf(path); at !== ""; at = directoryOf(at)) {
    if (known.omissions.get(at) !== undefined) return at;
  }
  return undefined;
}

async function inside(
  directory: string,
  removed: Set<string>,
  files: SandboxFiles,
): Promise<{ directories: string[]; uncovered: string[] }> {
  const directories = [directory];
  const uncovered: string[] = [];
  for await (const batch of files.walk(directory)) {
    for (const { path, stat } of batch) {
      const whole = joinPath(directory, path);
      if (stat.kind === "directory") directories.push(whole);
      else if (!removed.has(whole)) uncovered.push(whole);
    }
  }
  return { directories: directories.toSorted((a, b) => b.length - a.length), uncovered };
}

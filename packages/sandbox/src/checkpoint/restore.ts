import {
  GIT_EXECUTABLE,
  GIT_SYMLINK,
  bytesToPath,
  type CheckpointStore,
  type FileStat,
  type SandboxFiles,
  type TreeChange,
} from "@guildhall/core";

import { directoryOf } from "./known-workspace.ts";
import type { RestorePlan } from "./restore-plan.ts";
import { TaskPool } from "./task-pool.ts";
import { isAboutTheFile } from "./tracked-files.ts";
import type { FileDifference } from "./tree-diff.ts";

/** Does what was planned; returns what was changed. May be repeated with a new plan after a crash at any point. */
export async function applyRestore(plan: RestorePlan, store: CheckpointStore, files: SandboxFiles): Promise<TreeChange[]> {
  const pool = new TaskPool(AT_ONCE);
  for (const { path } of plan.removals) await pool.start(1, () => removeIfThere(path, files));
  for (const path of plan.asides) await pool.start(1, () => renameAside(path, files));
  await pool.drain();
  for (const path of plan.blockingDirectories) await files.remove(path);
  await removeEmpty(new Set(plan.removals.map(({ path }) => directoryOf(path))), files);
  for (const difference of plan.writes) await pool.start(1, () => write(difference, store, files));
  await pool.drain();
  return [...plan.removals, ...plan.writes]
    .map(({ path, change }) => ({ path, change }))
    .toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

const AT_ONCE = 16;

async function write({ path, from, to }: FileDifference, store: CheckpointStore, files: SandboxFiles): Promise<void> {
  if (to === undefined) return;
  const present = await statIfThere(path, files);
  const executable = to.mode === GIT_EXECUTABLE;
  if (to.mode === GIT_SYMLINK) {
    const target = bytesToPath((await store.get(to.id)).content);
    if (present !== undefined) await files.remove(path);
    else if (path.includes("/")) await files.mkdir(directoryOf(path), { parents: true });
    return files.symlink(target, path);
  }
  const contentStands = from?.id === to.id && from.mode !== GIT_SYMLINK;
  let kept = present;
  if (!contentStands) {
    const { content } = await store.get(to.id);
    // Written in place, a link or a further name of the file would carry the content elsewhere.
    if (present !== undefined && (present.kind !== "file" || present.links > 1)) {
      await files.remove(path);
      kept = undefined;
    }
    await files.write(path, content, { mode: executable ? 0o755 : 0o644, parents: true });
  }
  if (kept !== undefined && ((kept.mode & 0o100) !== 0) !== executable) {
    // As git does: who may read it may run it.
    await files.chmod(path, executable ? kept.mode | ((kept.mode & 0o444) >> 2) : kept.mode & ~0o111);
  }
}

async function renameAside(path: string, files: SandboxFiles): Promise<void> {
  for (let number = 1; ; number++) {
    const aside = `${path}.kept-${number}`;
    if ((await statIfThere(aside, files)) === undefined) return files.rename(path, aside);
  }
}

async function removeIfThere(path: string, files: SandboxFiles): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if ((await statIfThere(path, files)) !== undefined) throw error;
  }
}

/** Removes those of the directories that are empty, and those above them that become so. */
async function removeEmpty(directories: Set<string>, files: SandboxFiles): Promise<void> {
  const waiting = [...directories].toSorted((a, b) => b.split("/").length - a.split("/").length);
  for (const directory of waiting) {
    for (let at = directory; at !== ""; at = directoryOf(at)) {
      if (!(await removedEmpty(at, files))) break;
    }
  }
}

async function removedEmpty(directory: string, files: SandboxFiles): Promise<boolean> {
  try {
    if ((await files.list(directory)).length > 0) return false;
    await files.remove(directory);
    return true;
  } catch (error) {
    if (isAboutTheFile(error)) return false;
    throw error;
  }
}

async function statIfThere(path: string, files: SandboxFiles): Promise<FileStat | undefined> {
  try {
    return await files.stat(path);
  } catch (error) {
    if (isAboutTheFile(error)) return undefined;
    throw error;
  }
}

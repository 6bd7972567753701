import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { type CheckpointStore, GIT_EXECUTABLE, GIT_SYMLINK, gitObjectId, pathToBytes } from "@guildhall/core";

import type { FileDifference } from "../checkpoint/tree-diff.ts";
import { type Entry, type Owners, Tree } from "../managed-copy/tree.ts";

export interface ApplyOptions {
  /** Holds what the changes name. */
  store: CheckpointStore;
  /** Real path of the person's workspace. */
  workspace: string;
  /** What to bring there; `from` is what the session began with. */
  changes: readonly FileDifference[];
  /** Directory to be made for what loses against the person's own changes. */
  keep: string;
  /** A directory of ours, for files on their way. */
  temporary: string;
}

export interface Applied {
  /** Brought, or the same there already. */
  applied: FileDifference[];
  /** The person's file stays; `kept` is where the session's is, undefined where it had deleted the file. */
  conflicts: Array<{ path: string; kept: string | undefined }>;
}

/**
 * Brings changes of a session into a workspace. A file that is no longer what the session began with stays as it is. A file keeps its owner and
 * mode, but for the bit that makes it a program; a new one belongs to the workspace's owner. No link is followed.
 */
export async function applyChanges(options: ApplyOptions): Promise<Applied> {
  const { store, workspace, changes, keep } = options;
  const { uid, gid } = await stat(workspace);
  const [ownUid, ownGid] = [process.getuid?.() ?? uid, process.getgid?.() ?? gid];
  // What is on its way is ours; it becomes the workspace owner's.
  const owners: Owners = { original: { uid: ownUid, gid: ownGid }, copy: { uid, gid } };
  await mkdir(options.temporary, { recursive: true, mode: 0o700 });
  const incoming = await mkdtemp(join(options.temporary, "apply-"));
  const there = await Tree.open(workspace, { uid, gid });
  const result: Applied = { applied: [], conflicts: [] };
  try {
    const from = await Tree.open(incoming, owners.original);
    try {
      for (const change of changes) {
        const path = pathToBytes(change.path).toString("latin1");
        const now = await there.look(path);
        const present = await versionOf(there, path, now);
        if (present === versionName(change.to)) {
          result.applied.push(change);
        } else if (present !== versionName(change.from)) {
          const kept = change.to === undefined ? undefined : join(keep, change.path);
          if (kept !== undefined && change.to !== undefined) await write(store, keep, change.path, change.to, undefined);
          result.conflicts.push({ path: change.path, kept });
        } else {
          if (change.to === undefined) {
            if (now !== undefined) await there.remove(path, now.kind);
          } else {
            await write(store, incoming, change.path, change.to, now);
            if (now !== undefined && now.kind !== kindOf(change.to)) await there.remove(path, now.kind);
            await there.take(path, from, kindOf(change.to), owners);
          }
          result.applied.push(change);
        }
      }
    } finally {
      await from.close();
    }
  } finally {
    await there.close();
    await rm(incoming, { recursive: true, force: true });
  }
  return result;
}

/** Writes a checkpoint's file below a directory of ours. */
async function write(store: CheckpointStore, directory: string, path: string, file: Version, former: Entry | undefined): Promise<void> {
  const target = join(directory, path);
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  await rm(target, { force: true });
  const { content } = await store.get(file.id);
  if (file.mode === GIT_SYMLINK) {
    await symlink(Buffer.from(content), target);
    return;
  }
  await writeFile(target, content, { flag: "wx", mode: 0o600 });
  await chmod(target, modeOf(file, former));
}

interface Version {
  mode: number;
  id: string;
}

/** As it was, and a program for whoever may read it, or for nobody. */
function modeOf(file: Version, former: Entry | undefined): number {
  const base = former?.kind === "file" ? former.mode & 0o666 : 0o644;
  return file.mode === GIT_EXECUTABLE ? base | ((base & 0o444) >> 2) : base;
}

function kindOf(file: Version): "file" | "symlink" {
  return file.mode === GIT_SYMLINK ? "symlink" : "file";
}

function versionName(file: Version | undefined): string {
  return file === undefined ? "" : `${file.mode.toString(8)} ${file.id}`;
}

/** What stands in the workspace, named as a checkpoint names it. */
async function versionOf(tree: Tree, path: string, entry: Entry | undefined): Promise<string> {
  if (entry === undefined) return "";
  if (entry.kind === "directory") return "directory";
  const content = await tree.bytes(path, entry.kind);
  if (content === undefined) return "";
  const mode = entry.kind === "symlink" ? GIT_SYMLINK : (entry.mode & 0o100) === 0 ? 0o100644 : GIT_EXECUTABLE;
  return versionName({ mode, id: gitObjectId("blob", content) });
}

import { type FileStat, GuildError, type SandboxFiles } from "@guildhall/core";

import { missingParents, remember } from "../edit/change.ts";
import type { EditHistory } from "../edit/edit-history.ts";
import { statIfThere } from "../edit/open-file.ts";
import type { WorkspacePath } from "../workspace-path.ts";

/** A file as it will be. */
export interface Staged {
  path: WorkspacePath;
  /** Undefined: it is not there. */
  before: { bytes: Uint8Array; stat: FileStat } | undefined;
  /** Undefined: it will not be there. `mode` undefined: as it is. */
  after: { bytes: Uint8Array; mode: number | undefined } | undefined;
}

/** Writes all of them, and remembers what they were for undo; or throws with everything as it was. */
export async function writeStaged(files: SandboxFiles, history: EditHistory, staged: readonly Staged[], command: string): Promise<void> {
  const undo: Array<() => Promise<void>> = [];
  const done: Array<() => void> = [];
  try {
    for (const { path, before, after } of staged) {
      if (before === undefined && after === undefined) continue;
      if (before !== undefined) await refuseChanged(files, path, before.stat);
      const former = before && { bytes: before.bytes, mode: before.stat.mode };
      if (after === undefined) {
        await files.remove(path.real);
        undo.push(() => files.write(path.real, former?.bytes ?? new Uint8Array(), { mode: former?.mode ?? 0o644 }));
        done.push(() => remember(history, path, { before: former, command, madeDirectories: [] }, undefined));
        continue;
      }
      const madeDirectories = before === undefined ? await missingParents(files, path.real) : [];
      undo.push(async () => {
        if (former === undefined) return removeNew(files, path.real, madeDirectories);
        await files.write(path.real, former.bytes);
        if (after.mode !== undefined) await files.chmod(path.real, former.mode);
      });
      await files.write(path.real, after.bytes, { parents: true, exclusive: before === undefined });
      if (after.mode !== undefined && after.mode !== before?.stat.mode) await files.chmod(path.real, after.mode);
      done.push(() => remember(history, path, { before: former, command, madeDirectories }, after.bytes));
    }
  } catch (error) {
    for (const takeBack of undo.toReversed()) await takeBack();
    throw error;
  }
  for (const note of done) note();
}

/** What somebody else has written since it was read is not written over. */
async function refuseChanged(files: SandboxFiles, path: WorkspacePath, then: FileStat): Promise<void> {
  const now = await statIfThere(files, path.real);
  if (now?.mtimeMs === then.mtimeMs && now.size === then.size && now.inode === then.inode) return;
  throw new GuildError("failed_precondition", `${path.shown} was changed from outside meanwhile; nothing was written`, {
    remedy: "view it, then decide again",
  });
}

async function removeNew(files: SandboxFiles, path: string, madeDirectories: readonly string[]): Promise<void> {
  if ((await statIfThere(files, path)) !== undefined) await files.remove(path);
  for (const directory of madeDirectories.toReversed()) {
    if ((await statIfThere(files, directory)) !== undefined) await files.remove(directory);
  }
}

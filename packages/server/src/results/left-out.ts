import {
  type FileStat,
  GuildError,
  isBelow,
  isManifest,
  isProtectedAsLink,
  type LeftOut,
  newInstallScripts,
  type Sandbox,
} from "@guildhall/core";

import { isHeld, isPassedOver, PASSED_OVER } from "./protected-paths.ts";

export interface LeftOutOptions {
  sandbox: Sandbox;
  unprotected: readonly string[];
  /** Files and directories that no agent could write. */
  trusted: readonly string[];
  /** What the kernel says was changed before, milliseconds since 1970, was not changed by this session's. */
  since: number;
}

/**
 * Protected files, and manifests with scripts that run unasked, that checkpoints leave out (ignored by git, too large, not to be read, no files at all)
 * and that were made or changed since: an agent has a say in what is left out. `everywhere`: also in directories that are protected themselves by
 * nothing, but for those in which nobody looks for configuration; that takes as long as they are large. What may not be read is made readable.
 */
export async function findLeftOut(leftOut: readonly LeftOut[], everywhere: boolean, options: LeftOutOptions): Promise<string[]> {
  const { sandbox, unprotected } = options;
  const found: string[] = [];
  const ahead = leftOut.flatMap(({ path, directory }) =>
    isHeld(path, unprotected) || isManifest(path) || (everywhere && directory) ? [path] : [],
  );
  const judge = async (path: string, stat: FileStat): Promise<void> => {
    if (stat.kind === "directory" && (stat.mode & 0o500) !== 0o500) {
      // Another's directory cannot be made so, and an agent could have put nothing into it.
      await sandbox.files.chmod(path, stat.mode | 0o700).then(
        () => ahead.push(path),
        () => undefined,
      );
    } else if (stat.kind !== "directory" && (await isSuspicious(path, stat, options))) found.push(path);
  };
  let entries = 0;
  for (let path = ahead.shift(); path !== undefined && entries < MOST_ENTRIES; path = ahead.shift()) {
    if (isPassedOver(path)) continue;
    try {
      const stat = await sandbox.files.stat(path);
      await judge(path, stat);
      if (stat.kind !== "directory") continue;
      for await (const batch of sandbox.files.walk(path, { skip: [...PASSED_OVER] })) {
        for (const entry of batch) await judge(`${path}/${entry.path}`, entry.stat);
        if ((entries += batch.length) >= MOST_ENTRIES) break;
      }
    } catch (error) {
      // Gone meanwhile, or still not to be read.
      if (!GuildError.is(error)) throw error;
    }
  }
  return [...new Set(found)];
}

const MOST_ENTRIES = 50_000;

async function isSuspicious(path: string, stat: FileStat, { sandbox, unprotected, trusted, since }: LeftOutOptions): Promise<boolean> {
  if ((stat.ctimeMs ?? stat.mtimeMs) < since || isBelow(path, trusted)) return false;
  if (isHeld(path, unprotected)) return stat.kind === "symlink" || !isProtectedAsLink(path);
  if (stat.kind !== "file" || !isManifest(path) || isBelow(path, unprotected)) return false;
  if (stat.size > LARGEST_MANIFEST) return true;
  return (newInstallScripts("", Buffer.from(await sandbox.files.read(path)).toString("utf8")) ?? []).length > 0;
}

const LARGEST_MANIFEST = 16 << 20;

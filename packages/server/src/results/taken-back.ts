import { GIT_EXECUTABLE, GIT_SYMLINK, GuildError } from "@guildhall/core";

import type { HeldScriptsOptions } from "./held-scripts.ts";

/**
 * Of protected files that were there before and that an action could change all the same, since they lie too deep to have been made read-only: what
 * they were is put back, and what they became is set aside. `paths`: those that differ between the trees. Returns those that stay as they
 * are: read-only inside, so that the change is the person's own.
 */
export async function takeBack(paths: readonly string[], before: string, after: string, options: HeldScriptsOptions): Promise<string[]> {
  if (paths.length === 0) return [];
  const { session, sandbox, held } = options;
  const store = await options.store();
  const { diffTrees } = await import("@guildhall/sandbox");
  const wanted = new Set(paths);
  const left: string[] = [];
  for (const { path, from, to } of await diffTrees(store, before, after)) {
    if (!wanted.has(path)) continue;
    const now = to === undefined ? undefined : (await store.get(to.id)).content;
    if (from === undefined || (now !== undefined && held.isApproved(session, path, now))) {
      left.push(path);
      continue;
    }
    try {
      const former = (await store.get(from.id)).content;
      if (to !== undefined && (to.mode === GIT_SYMLINK || from.mode === GIT_SYMLINK)) await sandbox.files.remove(path);
      if (from.mode === GIT_SYMLINK) await sandbox.files.symlink(Buffer.from(former).toString("utf8"), path);
      else await sandbox.files.write(path, former, { parents: true });
      if (from.mode === GIT_EXECUTABLE) await sandbox.files.chmod(path, 0o755);
    } catch (error) {
      if (!GuildError.is(error)) throw error;
      left.push(path);
      continue;
    }
    if (now !== undefined && to?.mode !== GIT_SYMLINK) await held.hold(session, path, now, to?.mode === GIT_EXECUTABLE, from);
    const what = now === undefined ? "was put back" : "is as it was before, and your version was set aside";
    held.tell(
      session,
      `${path} ${what}: programs of the person's own run or obey it. A person can put yours in place with guild session apply ${session} --paths ${path}; go on without it.`,
    );
  }
  return left;
}

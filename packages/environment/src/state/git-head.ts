import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Where a checkout stands, by git's own files: no git runs, and no configuration of the repository takes effect. */
export interface GitHead {
  /** Undefined: detached. */
  branch: string | undefined;
  /** Of the commit; undefined: there is none yet, or it cannot be told. */
  commit: string | undefined;
  /** What git is in the middle of: `merge`, `rebase`, …; undefined: nothing. */
  during: string | undefined;
}

const SMALL = 4 * 2 ** 20;
const COMMIT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
/** Files of git's directory that stand for something unfinished. */
const UNFINISHED = [
  ["MERGE_HEAD", "merge"],
  ["CHERRY_PICK_HEAD", "cherry-pick"],
  ["REVERT_HEAD", "revert"],
  ["REBASE_HEAD", "rebase"],
] as const;

/**
 * Directory with the HEAD of a workspace: `.git`, or that of a linked worktree or submodule, which its file `.git` names. It counts only where it names
 * the workspace in turn, as git writes it: a file that somebody has planted leads nowhere. Undefined: no repository.
 *
 * @param workspace a real path.
 */
export function gitDirectory(workspace: string): string | undefined {
  const own = join(workspace, ".git");
  try {
    if (realpathSync.native(own) !== own) return undefined;
  } catch {
    return undefined; // there is none
  }
  const link = read(own);
  if (link === undefined) return own;
  const [, target] = /^gitdir: (.+?)\n?$/.exec(link) ?? [];
  if (target === undefined) return undefined;
  const directory = isAbsolute(target) ? target : join(workspace, target);
  const back = read(join(directory, "gitdir"))?.trim();
  if (back !== undefined) return (isAbsolute(back) ? back : join(directory, back)) === own ? directory : undefined;
  // Of a submodule, git writes where its files are.
  const [, tree] = /^\s*worktree = (.+)$/m.exec(read(join(directory, "config")) ?? "") ?? [];
  return tree !== undefined && join(directory, tree) === workspace ? directory : undefined;
}

/** Undefined: no repository, or none whose HEAD can be read. */
export function readGitHead(workspace: string): GitHead | undefined {
  const directory = gitDirectory(workspace);
  const head = directory === undefined ? undefined : read(join(directory, "HEAD"))?.trim();
  if (directory === undefined || head === undefined) return undefined;
  const during = UNFINISHED.find(([name]) => read(join(directory, name)) !== undefined)?.[1];
  if (COMMIT.test(head)) return { branch: undefined, commit: head, during };
  const ref = /^ref: (refs\/heads\/[^\0\s]+)$/.exec(head)?.[1];
  if (ref === undefined || ref.split("/").includes("..")) return undefined;
  const common = read(join(directory, "commondir"))?.trim();
  const refs = common === undefined ? directory : isAbsolute(common) ? common : join(directory, common);
  const loose = read(join(refs, ref))?.trim();
  const packed = (): string | undefined =>
    (read(join(refs, "packed-refs")) ?? "")
      .split("\n")
      .find((line) => line.endsWith(` ${ref}`))
      ?.split(" ")[0];
  const commit = loose ?? packed();
  return { branch: ref.slice("refs/heads/".length), commit: commit !== undefined && COMMIT.test(commit) ? commit : undefined, during };
}

/** One entry of git's own list of where HEAD has been. */
export interface HeadMove {
  commit: string;
  /** As git wrote it: `commit: what it was about`, `reset: moving to …`. */
  why: string;
}

/** Of a long list, as much of its end. */
const MOST_LOG = 64 * 1024;

/** Where HEAD has been since it was at a commit (undefined: since there was none), the oldest first; undefined: git keeps no list here, or none that goes back so far. */
export function readHeadMoves(workspace: string, from: string | undefined): HeadMove[] | undefined {
  const directory = gitDirectory(workspace);
  const log = directory === undefined ? undefined : read(join(directory, "logs/HEAD"));
  if (log === undefined) return undefined;
  const moves = log
    .slice(-MOST_LOG)
    .split("\n")
    .flatMap((line) => {
      const [, before = "", commit = "", why = ""] = /^([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [^\t]*(?:\t(.*))?$/.exec(line) ?? [];
      return commit === "" ? [] : [{ before, commit, why }];
    });
  const known =
    from === undefined ? moves.findIndex(({ before }) => /^0+$/.test(before)) - 1 : moves.findLastIndex(({ commit }) => commit === from);
  const since = moves.slice(known + 1).map(({ commit, why }) => ({ commit, why }));
  // The newest may be where it was before: then what came between is not known to be any move from there.
  return known < -1 || (from !== undefined && known === -1) || since.length === 0 ? undefined : since;
}

/** `branch main at 0123456789ab`, … */
export function describeGitHead({ branch, commit, during }: GitHead): string {
  const at = commit === undefined ? "" : ` at ${commit.slice(0, 12)}`;
  return `${branch === undefined ? "detached" : `branch ${branch}`}${at}${during === undefined ? "" : `, in the middle of a ${during}`}`;
}

/** Undefined: no plain file, or a larger one. No link is followed, nor one on the way. */
function read(path: string): string | undefined {
  // Most are not there, and an exception costs more than all else here.
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  let file: number | undefined;
  try {
    const directory = dirname(path);
    if (realpathSync.native(directory) !== directory) return undefined;
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > SMALL) return undefined;
    const bytes = Buffer.alloc(stat.size);
    return bytes.toString("utf8", 0, readSync(file, bytes, 0, bytes.length, 0));
  } catch {
    return undefined; // not there, or not ours to read
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

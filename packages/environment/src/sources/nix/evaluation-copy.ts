import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chown, lstat, mkdir, mkdtemp, open, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

import { storeFull } from "./nix-command.ts";

/** What no environment is made from, and may be enormous. */
const LEFT_OUT = new Set([".git", ".hg", ".svn", ".direnv", ".devenv", "node_modules", "target", "__pycache__", ".venv", "venv", "result"]);
const MOST_FILES = 20_000;
const MOST_BYTES = 128 * 1024 * 1024;

/** Files that Nix code is made of or reads for versions. */
const EVALUATED = /\.(nix|lock|toml|json|ya?ml|cabal)$|^(\.tool-versions|requirements.*\.txt|go\.(mod|sum))$/;
const MOST_EVALUATED = 4 * 1024 * 1024;

/**
 * Content of all files that an evaluation is likely to read: Nix code, lock files, manifests. The same stamp, the same environment. Costs
 * milliseconds, and no process.
 */
export async function evaluationStamp(workspace: string): Promise<string> {
  const sum = createHash("sha256");
  let bytes = 0;
  for await (const { path, kind } of filesOf(workspace, 3)) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (kind !== "file" || !EVALUATED.test(name)) continue;
    const content = await readFile(join(workspace, path));
    bytes += content.length;
    if (bytes > MOST_EVALUATED && !/\.(nix|lock)$/.test(name)) continue;
    sum.update(`${path}\0${content.length}\0`).update(content);
  }
  return sum.digest("hex");
}

/**
 * A copy of a project for the user who evaluates it, who may not be able to read the original and is not to write to it; without what no
 * environment is made from. Links stay links. Throws `failed_precondition` for a project that is too large to be copied.
 */
export async function copyForEvaluation(
  workspace: string,
  parent: string,
  user: { uid: number; gid: number } | undefined,
): Promise<{ directory: string; remove(): Promise<void> }> {
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, "copy-"));
  const own = async (path: string): Promise<void> => {
    if (user !== undefined) await chown(path, user.uid, user.gid);
  };
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    await own(directory);
    let files = 0;
    let bytes = 0;
    for await (const { path, kind } of filesOf(workspace, 40)) {
      const [from, to] = [join(workspace, path), join(directory, path)];
      if (++files > MOST_FILES || bytes > MOST_BYTES) throw tooLarge(workspace);
      if (kind === "directory") {
        await mkdir(to, { mode: 0o755 });
        await own(to);
      } else if (kind === "link") {
        await symlink(await readlink(from), to);
      } else {
        const handle = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
        try {
          await refuseOutside(handle.fd, workspace, path);
          const stat = await handle.stat();
          bytes += stat.size;
          if (bytes > MOST_BYTES) throw tooLarge(workspace);
          await writeFile(to, await handle.readFile(), { mode: (stat.mode & 0o111) === 0 ? 0o644 : 0o755 });
        } finally {
          await handle.close();
        }
        await own(to);
      }
    }
    return { directory, remove };
  } catch (error) {
    await remove();
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") throw storeFull(error);
    throw error;
  }
}

async function* filesOf(workspace: string, depth: number): AsyncIterable<{ path: string; kind: "file" | "directory" | "link" }> {
  const open_ = [{ path: "", depth }];
  for (let next = open_.pop(); next !== undefined; next = open_.pop()) {
    const names = await readdir(join(workspace, next.path)).catch((): string[] => []); // not ours to read: Nix will say so
    for (const name of names.toSorted()) {
      if (LEFT_OUT.has(name)) continue;
      const path = next.path === "" ? name : `${next.path}/${name}`;
      const stat = await lstat(join(workspace, path)).catch(() => undefined); // gone meanwhile
      if (stat?.isSymbolicLink() === true) yield { path, kind: "link" };
      else if (stat?.isFile() === true) yield { path, kind: "file" };
      else if (stat?.isDirectory() === true) {
        yield { path, kind: "directory" };
        if (next.depth > 1) open_.push({ path, depth: next.depth - 1 });
      }
    }
  }
}

/** A directory on the way that somebody has just replaced by a link would lead elsewhere. */
async function refuseOutside(fd: number, workspace: string, path: string): Promise<void> {
  if (process.platform !== "linux") return;
  if ((await readlink(`/proc/self/fd/${fd}`)) === join(workspace, path)) return;
  throw new GuildError("failed_precondition", "the project changed while it was read", { subject: path, remedy: "try again" });
}

function tooLarge(workspace: string): GuildError {
  return new GuildError("failed_precondition", "the project is too large to be evaluated", {
    subject: workspace,
    remedy: "keep what is generated in directories such as target, node_modules or .direnv, which are left out",
  });
}

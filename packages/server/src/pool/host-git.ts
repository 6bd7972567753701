import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { lstat, mkdir, mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";

import { GuildError } from "@guildhall/core";

const run = promisify(execFile);

/** A transport that never ends ends here, milliseconds. */
const PATIENCE_MS = 10 * 60_000;

/** Transports that are none of programs. */
const TRANSPORTS = "file:git:http:https:ssh";

/** Who commits. */
export const IDENTITY = ["-c", "user.name=Guildhall", "-c", "user.email=guildhall@localhost", "-c", "commit.gpgSign=false"];

/** Runs git in `cwd`; resolves to what it wrote, rejects with a `failed_precondition` about `subject`. */
export type HostGit = (cwd: string, args: readonly string[], subject: string, own?: Readonly<Record<string, string>>) => Promise<string>;

/** Git on the host's side of the sandbox: no hooks, no templates, no questions, no transports that are programs, no submodules. */
export function hostGit(env: Readonly<Record<string, string | undefined>>): HostGit {
  const fixed = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false", "push.recurseSubmodules=no", "gc.auto=0"];
  const options = fixed.flatMap((one) => ["-c", one]);
  return async (cwd, args, subject, own = {}) => {
    const all = { ...env, GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1", GIT_ALLOW_PROTOCOL: TRANSPORTS, ...own };
    try {
      return (await run("git", [...options, ...args], { cwd, env: all, maxBuffer: 16 << 20, timeout: PATIENCE_MS })).stdout;
    } catch (error) {
      const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
      const line = text.split("\n").findLast((one) => /fatal|error/i.test(one)) ?? text.split("\n")[0] ?? "";
      throw new GuildError("failed_precondition", `git ${args[0] ?? ""} failed: ${line.trim()}`, {
        subject,
        remedy: "check the URL, the branch and the worker's rights",
        cause: error,
      });
    }
  };
}

/** Throws `invalid_argument` for what git would take for an option, a program, or more than one name. */
export function checkGitName(kind: "URL" | "revision" | "branch", value: string): void {
  const wrong =
    kind === "URL"
      ? /^-|^[\w.+-]*::|[\x00-\x1f\x7f]/
      : kind === "revision"
        ? /^-|[\x00-\x20\x7f]/
        : /^[-/.]|\.\.|\/\/|@\{|\.lock(?:\/|$)|[/.]$|[\x00-\x20\x7f~^:?*[\\]/;
  if (!wrong.test(value)) return;
  throw new GuildError("invalid_argument", `this is no ${kind} for git`, { subject: value, remedy: `give a plain ${kind}` });
}

/**
 * Commits what lies in a clone that an agent has worked in, and pushes it; `trailer` tells the task's own commits. None of that repository's own configuration, hooks, index or
 * references takes part: all is done with a repository of ours beside it, which reads its objects. Repositories within are left out.
 */
export async function pushWorktree(
  git: HostGit,
  work: { directory: string; url: string; branch: string; message: string; trailer: string },
): Promise<void> {
  const { directory, url, branch, message, trailer } = work;
  checkGitName("URL", url);
  checkGitName("branch", branch);
  const theirs = join(directory, ".git");
  for (const path of [theirs, join(theirs, "objects")]) {
    if ((await lstat(path).catch(() => undefined))?.isDirectory() === true) continue; // nothing there is refused alike
    throw new GuildError("failed_precondition", "the workspace is no clone any more", { subject: path, remedy: "submit the task again" });
  }
  const ours = await mkdtemp(join(dirname(directory), ".push-"));
  try {
    await git(ours, ["init", "--quiet", "--bare", "--template=", "."], directory);
    await mkdir(join(ours, "objects/info"), { recursive: true });
    await writeFile(join(ours, "objects/info/alternates"), `${join(theirs, "objects")}\n`);
    const own = { GIT_DIR: ours, GIT_WORK_TREE: directory, GIT_INDEX_FILE: join(ours, "index") };
    const ask = async (...args: string[]): Promise<string> => (await git(directory, args, directory, own)).trim();
    const head = await headOf(theirs);
    if (head !== undefined) await ask("read-tree", head);
    const within = await repositoriesIn(directory);
    await ask("add", "--all", "--", ".", ...within.map((path) => `:(exclude,top,literal)${path}`));
    const tree = await ask("write-tree");
    const tip = await remoteTip(git, own, url, branch);
    // Pushed for this task before, by a worker that may have died before it could say so: what follows stands on that.
    const again = tip !== undefined && (await ask("log", "-1", "--format=%B", tip)).split("\n").includes(trailer);
    if (again && (await ask("log", "-1", "--format=%T", tip)) === tree) return;
    const parent = again ? tip : head;
    const parents = parent === undefined ? [] : ["-p", parent];
    const commit = await ask(...IDENTITY, "commit-tree", tree, ...parents, "-m", message, "-m", trailer);
    await git(directory, ["push", "--quiet", "--", url, `${commit}:refs/heads/${branch}`], branch, own);
  } finally {
    await rm(ours, { recursive: true, force: true });
  }
}

async function remoteTip(git: HostGit, own: Record<string, string>, url: string, branch: string): Promise<string | undefined> {
  const reference = `refs/heads/${branch}`;
  const told = await git(own["GIT_DIR"] ?? "", ["ls-remote", "--", url, reference], url, own);
  const tip = /^([0-9a-f]{40,64})\t/m.exec(told)?.[1];
  if (tip !== undefined) await git(own["GIT_DIR"] ?? "", ["fetch", "--quiet", "--no-tags", "--", url, reference], url, own);
  return tip;
}

/** The commit that a repository's HEAD stands for, read without git and without following a link. Undefined: none yet. */
export async function headOf(repository: string): Promise<string | undefined> {
  let name = "HEAD";
  for (let depth = 0; depth < 5; depth += 1) {
    const text = (await contentOf(join(repository, name))).trim();
    if (/^[0-9a-f]{40,64}$/.test(text)) return text;
    const to = /^ref: (refs\/[\w./-]+)$/.exec(text)?.[1];
    if (to === undefined || to.includes("..")) break;
    name = to;
  }
  const packed = await contentOf(join(repository, "packed-refs"));
  return packed
    .split("\n")
    .map((line) => /^([0-9a-f]{40,64}) (.+)$/.exec(line))
    .find((found) => found?.[2] === name)?.[1];
}

async function contentOf(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => undefined); // there is none
  if (file === undefined) return "";
  try {
    return (await file.stat()).isFile() ? await file.readFile("utf8") : "";
  } finally {
    await file.close();
  }
}

/** Directories within that are repositories of their own: git would look into them by their own configuration. */
async function repositoriesIn(directory: string): Promise<string[]> {
  const found: string[] = [];
  const ahead = [directory];
  for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
    const entries = await readdir(at, { withFileTypes: true }).catch(() => []); // not ours to read: git says so itself
    if (at !== directory && entries.some(({ name }) => name.toLowerCase() === ".git")) {
      found.push(relative(directory, at));
      continue;
    }
    for (const entry of entries) if (entry.isDirectory() && entry.name !== ".git") ahead.push(join(at, entry.name));
  }
  return found;
}

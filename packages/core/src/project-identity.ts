import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { projectName } from "./project-name.ts";

/** A project as knowledge knows it. */
export interface ProjectIdentity {
  name: string;
  /** The name by the directory alone, under which it was known before it had a repository, or before repositories counted. */
  byPath: string;
}

/**
 * Which project a directory is: the same for two clones of one repository and after it was moved. By what its owner's git settings say (`git config guildhall.project NAME`), else by the address
 * that it was cloned from, else by its first commit; by its path where there is no repository. A folder within a repository is a project of its own. Read from git's own
 * files; nothing of the repository is run.
 */
export async function projectIdentity(workspace: string): Promise<ProjectIdentity> {
  const byPath = projectName(workspace);
  const directory = await realpath(workspace).catch(() => workspace); // Gone: its name is left.
  const repository = await repositoryOf(directory);
  const origin = repository === undefined ? undefined : await originOf(repository.common, MOST_STEPS);
  if (repository === undefined || origin === undefined) return { name: byPath, byPath };
  const within = relative(repository.root, directory);
  const label = within === "" ? origin.label : basename(within);
  return { name: `${label}-${hashOf(`${origin.key}\0${within}`)}`, byPath };
}

/** Clones of clones on one machine that are followed to where the first came from. */
const MOST_STEPS = 4;
const LARGEST_CONFIG = 1 << 20;
const run = promisify(execFile);

interface Repository {
  root: string;
  /** Git's own directory, that of the main worktree where there are several. */
  common: string;
}

async function repositoryOf(directory: string): Promise<Repository | undefined> {
  for (let root = directory; ; root = dirname(root)) {
    const git = join(root, ".git");
    const there = await stat(git).catch(() => undefined); // None here: one level up.
    if (there?.isDirectory() === true) return { root, common: git };
    if (there?.isFile() === true) return await linkedFrom(root, git);
    if (dirname(root) === root) return undefined;
  }
}

/** A worktree or submodule; only one that its repository knows, for the file itself may name anything. */
async function linkedFrom(root: string, file: string): Promise<Repository | undefined> {
  const named = /^gitdir: (.+)$/m.exec(await textOf(file))?.[1];
  if (named === undefined) return undefined;
  const own = resolve(root, named);
  const back = (await textOf(join(own, "gitdir"))).trim();
  if (back !== "") {
    if (resolve(own, back) !== file) return undefined;
    return { root, common: resolve(own, (await textOf(join(own, "commondir"))).trim()) };
  }
  const worktree = settingsOf(await textOf(join(own, "config"))).get("core.worktree");
  return worktree !== undefined && resolve(own, worktree) === root ? { root, common: own } : undefined;
}

async function originOf(common: string, steps: number): Promise<{ key: string; label: string } | undefined> {
  const settings = settingsOf(await textOf(join(common, "config")));
  const named = settings.get("guildhall.project");
  if (named !== undefined && named !== "") return { key: `named ${named}`, label: labelOf(named) };
  const url = settings.get("remote.origin.url") ?? [...settings].find(([name]) => /^remote\..+\.url$/.test(name))?.[1];
  const local = url === undefined ? undefined : localPath(url, common);
  if (url !== undefined && local === undefined) {
    const address = normalisedAddress(url);
    return { key: `remote ${address}`, label: labelOf(basename(address)) };
  }
  if (local !== undefined && steps > 1) {
    const there = await gitDirectory(local);
    const origin = there === undefined ? undefined : await originOf(there, steps - 1);
    if (origin !== undefined) return origin;
  }
  const first = await firstCommit(common);
  return first === undefined ? undefined : { key: `commit ${first}`, label: "git" };
}

/** The same for what leads to the same place: `git@host:owner/name.git`, `https://user@host/owner/name`. */
export function normalisedAddress(url: string): string {
  const [, host = "", port = "", path = ""] =
    /^[a-z][\w+.-]*:\/\/(?:[^@/]*@)?(\[[^\]]*\]|[^/:]*)(?::(\d+))?\/*(.*)$/i.exec(url) ??
    /^(?:[^@/]*@)?(\[[^\]]*\]|[^/:]+):()\/*(.*)$/.exec(url) ??
    [];
  if (host === "") return url;
  const usual = ["", "22", "80", "443", "9418"].includes(port);
  return `${host.toLowerCase()}${usual ? "" : `:${port}`}/${path.replace(/\/+$/, "").replace(/\.git$/, "")}`;
}

function localPath(url: string, common: string): string | undefined {
  if (url.startsWith("file://")) return URL.canParse(url) ? fileURLToPath(new URL(url)) : undefined;
  if (isAbsolute(url)) return url;
  return /^\.{0,2}\//.test(url) || !/:/.test(url) ? resolve(dirname(common), url) : undefined;
}

async function gitDirectory(path: string): Promise<string | undefined> {
  for (const one of [join(path, ".git"), path, `${path}.git`]) {
    const head = await textOf(join(one, "HEAD"));
    if (head !== "") return one;
  }
  return undefined;
}

/** Nothing is fetched, no hook and no program that the repository names is run. */
async function firstCommit(common: string): Promise<string | undefined> {
  const careful = ["protocol.allow=never", "core.fsmonitor=false", "core.hooksPath=/dev/null", "safe.directory=*"].flatMap((one) => [
    "-c",
    one,
  ]);
  const args = [...careful, "--no-optional-locks", `--git-dir=${common}`, "rev-list", "--max-parents=0", "HEAD"];
  const { stdout } = await run("git", args, { cwd: common, timeout: 10_000, maxBuffer: 1 << 20 }).catch(() => ({ stdout: "" })); // No git, or no commit yet.
  return stdout.trim().split("\n").toSorted()[0] || undefined;
}

/** `section.name` or `section.subsection.name` of git's settings; the last of each. Nothing that they include is read. */
function settingsOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let section = "";
  for (const line of text.split("\n")) {
    const [, name, sub] = /^\s*\[([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\]/.exec(line) ?? [];
    if (name !== undefined) section = `${name.toLowerCase()}${sub === undefined ? "" : `.${sub}`}.`;
    const [, key, value = ""] = /^\s*([A-Za-z][\w-]*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined) found.set(`${section}${key.toLowerCase()}`, value.replace(/^"(.*)"$/, "$1"));
  }
  return found;
}

async function textOf(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => ""); // Not there, or not ours to read.
  return text.length > LARGEST_CONFIG ? "" : text;
}

function labelOf(name: string): string {
  return name.replaceAll(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 40) || "project";
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

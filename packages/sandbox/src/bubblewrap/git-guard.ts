import { chown, lstat, mkdir, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";

import { GuildError } from "@guildhall/core";

import { namedFiles } from "./git-config.ts";

/** What must be mounted over a workspace so that nothing an agent writes there makes a host's git run or obey it. */
export interface Guard {
  /**
   * Absolute paths, parents first. `pin`: mounted onto itself, which keeps it from being renamed or replaced;
   * `read`: mounted onto itself read-only.
   */
  paths: Array<{ path: string; mount: "pin" | "read" }>;
  /** Directories outside the workspace that belong to its repository and are needed, writable. */
  outside: string[];
  /** Files made only to be mounted over, to be removed when the last sandbox of the workspace has gone. */
  placeholders: string[];
}

/** Paths relative to the workspace: those to be read-only, and those that are not to be, `.guildhall` and what lies in the first included. */
export interface GuardedPaths {
  readOnly: readonly string[];
  writable: readonly string[];
}

const MOST_MODULES = 256;

/**
 * Looks at a workspace (real path) and says what to protect: `.git` with its configuration and hooks, those of submodules, the
 * files that its configuration names within the workspace, `.guildhall` and `readOnly` but for what is `writable` (what does not exist is
 * passed over). Creates missing mount points inside `.git`, owned by `owner` when we are root.
 * Throws `failed_precondition` for a repository that cannot be protected.
 */
export async function guardWorkspace(workspace: string, paths: GuardedPaths, owner: { uid: number; gid: number }): Promise<Guard> {
  const found = new Findings(workspace, owner);
  for (const path of [".guildhall", ...paths.readOnly].filter((one) => !paths.writable.includes(one))) {
    const full = resolve(workspace, path);
    if (!isWithin(full, workspace) || full === workspace) {
      throw new GuildError("invalid_argument", `${path} is not within the workspace`, { subject: path });
    }
    await found.readBut(full, new Set(paths.writable.map((one) => resolve(workspace, one))));
  }
  const git = join(workspace, ".git");
  const kind = await kindOf(git);
  if (kind === "directory") await found.repository(git);
  else if (kind === "file") {
    await found.read(git);
    const common = await worktreeOf(workspace, git);
    if (common !== undefined) {
      if (!isWithin(common, workspace)) found.outside.push(common);
      await found.repository(common);
    }
  } else if (kind === "symlink") refuse(git);
  return found.guard();
}

class Findings {
  readonly outside: string[] = [];
  readonly #workspace: string;
  readonly #owner: { uid: number; gid: number };
  readonly #mounts = new Map<string, "pin" | "read">();
  readonly #placeholders: string[] = [];

  constructor(workspace: string, owner: { uid: number; gid: number }) {
    this.#workspace = workspace;
    this.#owner = owner;
  }

  /** Makes a path read-only, and keeps every directory above it in its place. */
  async read(path: string): Promise<void> {
    if ((await kindOf(path)) === "symlink") refuse(path);
    this.#pinAbove(path);
    this.#mounts.set(path, "read");
  }

  /** The same of a path that may hold some that are not to be: then of all else in it. Nothing where there is nothing. */
  async readBut(path: string, writable: ReadonlySet<string>): Promise<void> {
    const kind = await kindOf(path);
    if (kind === undefined || writable.has(path)) return;
    if (kind !== "directory" || ![...writable].some((one) => isWithin(one, path))) return await this.read(path);
    for (const name of await readdir(path)) {
      // A link in it leads where it leads, and is nothing to mount over.
      if ((await kindOf(join(path, name))) !== "symlink") await this.readBut(join(path, name), writable);
    }
  }

  async repository(directory: string): Promise<void> {
    this.#pinAbove(directory);
    if (this.#mounts.get(directory) === undefined) this.#mounts.set(directory, "pin");
    const config = join(directory, "config");
    await this.#present(config, "file", "");
    await this.#present(join(directory, "hooks"), "directory");
    // Git takes the configuration from where `commondir` points, in any repository that has one.
    await this.#present(join(directory, "commondir"), "file", PLACEHOLDER, true);
    for (const name of ["config.worktree", "worktrees"]) {
      if (await kindOf(join(directory, name))) await this.#protectOther(join(directory, name));
    }
    if (await this.#configured(config, 0)) await this.#present(join(directory, "config.worktree"), "file");
    await this.#modules(join(directory, "modules"), 0);
  }

  guard(): Guard {
    const paths = [...this.#mounts].map(([path, mount]) => ({ path, mount }));
    paths.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { paths, outside: this.outside, placeholders: this.#placeholders };
  }

  /** `config.worktree`, or the private directories of linked worktrees: another worktree's are none of this sandbox's business. */
  async #protectOther(path: string): Promise<void> {
    if ((await kindOf(path)) !== "directory") return this.read(path);
    this.#pinAbove(path);
    this.#mounts.set(path, "pin");
    for (const name of await readdir(path)) {
      const worktree = join(path, name);
      if ((await kindOf(worktree)) !== "directory") continue;
      const own = await readFile(join(worktree, "gitdir"), "utf8").catch(() => "");
      if (own.trim() !== join(this.#workspace, ".git")) {
        await this.read(worktree);
        continue;
      }
      this.#mounts.set(worktree, "pin");
      for (const part of ["commondir", "gitdir", "config.worktree"]) {
        if (await kindOf(join(worktree, part))) await this.read(join(worktree, part));
      }
    }
  }

  /** Files that the configuration names, as far as they lie in the workspace; true: it has `config.worktree` read too. */
  async #configured(config: string, depth: number): Promise<boolean> {
    const text = await readFile(config, "utf8").catch(() => ""); // unreadable to us is unwritable to the sandbox
    const { hooks, includes, worktreeConfig } = namedFiles(text);
    let further = worktreeConfig;
    for (const value of hooks) await this.#named(resolve(this.#workspace, value));
    for (const value of includes) {
      const path = resolve(dirname(config), value);
      if (value.startsWith("~") || !(await this.#named(path)) || depth > 8) continue;
      if (await this.#configured(path, depth + 1)) further = true;
    }
    return further;
  }

  async #named(path: string): Promise<boolean> {
    if (!isWithin(path, this.#workspace) || path === this.#workspace || (await kindOf(path)) === undefined) return false;
    await this.read(path);
    return true;
  }

  async #modules(directory: string, depth: number): Promise<void> {
    if (depth > 8 || (await kindOf(directory)) !== "directory") return;
    this.#pinAbove(directory);
    this.#mounts.set(directory, "pin");
    for (const name of await readdir(directory)) {
      const module = join(directory, name);
      if ((await kindOf(module)) !== "directory") continue;
      if (this.#mounts.size > MOST_MODULES * 4) {
        throw new GuildError("failed_precondition", `the repository has more than ${MOST_MODULES} submodules`, {
          subject: this.#workspace,
        });
      }
      if ((await kindOf(join(module, "HEAD"))) === undefined) await this.#modules(module, depth + 1);
      else await this.repository(module);
    }
  }

  /** Protects a path that must exist for that: made when it does not. */
  async #present(path: string, kind: "file" | "directory", content = "", temporary = false): Promise<void> {
    let found = await kindOf(path);
    if (found === undefined && !(await this.#made(path, kind, content))) found = await kindOf(path);
    if (found === undefined) {
      if (process.geteuid?.() === 0) await chown(path, this.#owner.uid, this.#owner.gid);
    } else if (found !== kind) refuse(path);
    if (temporary && (found === undefined || (await readFile(path, "utf8").catch(() => "")) === PLACEHOLDER)) this.#placeholders.push(path);
    await this.read(path);
  }

  /** False: somebody else, in another process, was faster. */
  async #made(path: string, kind: "file" | "directory", content: string): Promise<boolean> {
    try {
      if (kind === "directory") await mkdir(path, { mode: 0o755 });
      else await writeFile(path, content, { flag: "wx", mode: 0o644 });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      return false;
    }
  }

  #pinAbove(path: string): void {
    const root = [this.#workspace, ...this.outside].find((one) => isWithin(path, one));
    if (root === undefined) return;
    for (let at = dirname(path); isWithin(at, root) && at !== root; at = dirname(at)) {
      if (!this.#mounts.has(at)) this.#mounts.set(at, "pin");
    }
  }
}

/** Says “the common directory is this one”; git itself writes longer ones, so ours can be told apart. */
const PLACEHOLDER = ".";

/** Removes placeholders that nobody has changed. */
export async function removePlaceholders(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const content = await readFile(path, "utf8").catch(() => undefined); // removed with its repository
    if (content === PLACEHOLDER && (await kindOf(path)) === "file") await rm(path, { force: true });
  }
}

/**
 * The common directory of the repository whose linked worktree this is. Undefined unless the repository itself says that the
 * worktree is here: a `.git` file that came with the files must not open other directories to the sandbox.
 */
async function worktreeOf(workspace: string, git: string): Promise<string | undefined> {
  const pointer = /^gitdir: (.*)$/m.exec(await readFile(git, "utf8"))?.[1];
  if (pointer === undefined) return undefined;
  try {
    const directory = await realpath(isAbsolute(pointer) ? pointer : resolve(workspace, pointer));
    const back = (await readFile(join(directory, "gitdir"), "utf8")).trim();
    const backTo = await realpath(resolve(directory, back));
    const common = dirname(dirname(directory));
    const shaped = directory === join(common, "worktrees", relative(join(common, "worktrees"), directory));
    const whole = (await kindOf(join(common, "objects"))) === "directory" && (await kindOf(join(common, "HEAD"))) === "file";
    return backTo === git && shaped && whole && dirname(directory).endsWith(`${sep}worktrees`) ? common : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined; // points nowhere: git says so itself
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

async function kindOf(path: string): Promise<"file" | "directory" | "symlink" | "other" | undefined> {
  try {
    const found = await lstat(path);
    if (found.isSymbolicLink()) return "symlink";
    return found.isDirectory() ? "directory" : found.isFile() ? "file" : "other";
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new GuildError("permission_denied", `cannot look at ${path}: ${code}`, { subject: path, cause: error });
  }
}

function refuse(path: string): never {
  throw new GuildError("failed_precondition", `${path} is a link or of the wrong kind and cannot be protected from the sandbox`, {
    subject: path,
    remedy: "replace it by what it points to",
  });
}

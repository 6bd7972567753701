import { GuildError, type SandboxFiles } from "@guildhall/core";

import { linkedPaths, trackedPaths } from "./git-index.ts";

/** What git tracks in a workspace: covered even where ignore rules match it. */
export class TrackedFiles {
  readonly #files: Set<string>;
  readonly #directories = new Set<string>();

  constructor(paths: Iterable<string>) {
    this.#files = new Set(paths);
    for (const path of this.#files) {
      for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
        const directory = path.slice(0, end);
        if (this.#directories.has(directory)) break;
        this.#directories.add(directory);
      }
    }
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  hasBelow(directory: string): boolean {
    return this.#directories.has(directory);
  }
}

/** What a workspace's `.git` says about coverage. */
export interface GitFacts {
  tracked: TrackedFiles;
  /** Where the index says that other repositories lie. */
  links: string[];
  /** Content of `info/exclude`. */
  exclude: Uint8Array | undefined;
  /** The index is there, but could not be understood: nothing counts as tracked. */
  indexNotUnderstood: boolean;
}

/** Reads them through the sandbox; a workspace without git has none. A linked worktree's are looked for where its `.git` file points. */
export async function readGitFacts(files: SandboxFiles): Promise<GitFacts> {
  let gitDirectory = ".git";
  let commonDirectory = ".git";
  const kind = (await absentAs(files.stat(".git"), undefined))?.kind;
  if (kind === "file") {
    gitDirectory = (await readText(files, ".git"))?.match(/^gitdir: (.+)$/m)?.[1]?.trim() ?? ".git";
    const common = (await readText(files, `${gitDirectory}/commondir`))?.trim() ?? ".";
    commonDirectory = common.startsWith("/") ? common : `${gitDirectory}/${common}`;
  }
  const exclude =
    kind === undefined ? undefined : await absentAs(files.read(`${commonDirectory}/info/exclude`, { length: 1024 * 1024 }), undefined);
  try {
    const size = kind === undefined ? undefined : (await absentAs(files.stat(`${gitDirectory}/index`), undefined))?.size;
    const index = size === undefined || size > LARGEST_INDEX ? undefined : await files.read(`${gitDirectory}/index`);
    const tracked = new TrackedFiles(index === undefined ? [] : trackedPaths(index));
    const links = index === undefined ? [] : [...linkedPaths(index)];
    return { tracked, links, exclude, indexNotUnderstood: size !== undefined && index === undefined };
  } catch (error) {
    if (!GuildError.is(error)) throw error;
    return { tracked: new TrackedFiles([]), links: [], exclude, indexNotUnderstood: true };
  }
}

const LARGEST_INDEX = 128 * 1024 * 1024;

async function readText(files: SandboxFiles, path: string): Promise<string | undefined> {
  const bytes = await absentAs(files.read(path, { length: 8192 }), undefined);
  return bytes && Buffer.from(bytes).toString();
}

/** What cannot be read for a reason of the workspace's own counts as absent. */
async function absentAs<T, U>(reading: Promise<T>, absent: U): Promise<T | U> {
  try {
    return await reading;
  } catch (error) {
    if (isAboutTheFile(error)) return absent;
    throw error;
  }
}

/** Whether a failure is about this file, not about the sandbox. */
export function isAboutTheFile(error: unknown): boolean {
  return (
    GuildError.is(error, "not_found") ||
    GuildError.is(error, "permission_denied") ||
    GuildError.is(error, "failed_precondition") ||
    GuildError.is(error, "invalid_argument")
  );
}

import { chmod, chown, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { GuildError, type SandboxConflict } from "@guildhall/core";

import { type Base, Round } from "./round.ts";
import { type Owners, Tree } from "./tree.ts";

export interface ManagedCopyOptions {
  /** Real path of what is copied. */
  original: string;
  /** A directory for the copy and what belongs to it; nobody but us may enter it. */
  directory: string;
  owners: Owners;
  /** Paths within the original (relative) that are read-only inside: nothing is ever applied to or from them. */
  guarded: readonly string[];
}

/**
 * A copy of a directory tree for a sandbox that cannot have the tree itself, and its way back. `settle` brings what changed on either
 * side to the other: three ways, against what both were the last time, files told apart by content. Where both changed one file, the
 * original stays as the person has it, the sandbox gets that too, and its own version is kept in `directory`. An edit outlives a
 * deletion. Hard links become files of their own; sockets and pipes, access lists and extended attributes stay behind.
 */
export class ManagedCopy {
  /** Where the copy stands. */
  readonly path: string;
  readonly #options: ManagedCopyOptions;
  readonly #base: Map<string, Base>;
  #rounds = 0;
  #brought: string[] = [];
  #settling: Promise<unknown> = Promise.resolve();

  private constructor(options: ManagedCopyOptions, base: Map<string, Base>) {
    this.#options = options;
    this.#base = base;
    this.path = join(options.directory, "tree");
  }

  /** Copies. Throws `storage_full`, `failed_precondition`. */
  static async create(options: ManagedCopyOptions): Promise<ManagedCopy> {
    const { original, directory, owners } = options;
    if (`${directory}/`.startsWith(`${original}/`)) {
      throw new GuildError("failed_precondition", `the copy of ${original} that a sandbox needs here would lie within it`, {
        subject: original,
        remedy: "choose a workspace that does not hold Guildhall's own state",
      });
    }
    const copy = new ManagedCopy(options, new Map());
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await mkdir(copy.path);
      const root = await stat(original);
      await chown(copy.path, owners.copy.uid, owners.copy.gid);
      await chmod(copy.path, root.mode & 0o777);
      await copy.#settle(true);
      return copy;
    } catch (error) {
      await copy.remove();
      throw explained(error, options);
    }
  }

  /** What a process that is no more had left in `directory`; undefined: no copy, or one of another original. `ours`: nobody has it. */
  static async left(directory: string, original: string, ours: boolean): Promise<ManagedCopy | undefined> {
    const text = await readFile(join(directory, MANIFEST), "utf8").catch(() => undefined); // none was finished
    if (text === undefined) return undefined;
    const manifest = JSON.parse(text) as Manifest; // written by us, in a directory of ours
    if (manifest.options.original !== original || (!ours && (await isRunning(manifest)))) return undefined;
    return new ManagedCopy({ ...manifest.options, directory }, new Map(manifest.base));
  }

  /** Brings both sides together; what both had changed is returned. Call it when nothing is being written, if that can be known. */
  settle(): Promise<SandboxConflict[]> {
    const settled = this.#settling.then(async () => {
      try {
        return await this.#settle(false);
      } catch (error) {
        throw explained(error, this.#options);
      }
    });
    this.#settling = settled.catch(() => {}); // told to whoever waits for it
    return settled;
  }

  /** Relative paths of the original that rounds have written or removed since the last call; of very many, the last. */
  brought(): readonly string[] {
    return this.#brought.splice(0);
  }

  /** Removes the copy, but nothing that a conflict has kept. */
  async remove(): Promise<void> {
    const { directory } = this.#options;
    await rm(this.path, { recursive: true, force: true });
    await rm(join(directory, STAGING), { recursive: true, force: true });
    await rm(join(directory, MANIFEST), { force: true });
    if ((await readdir(directory).catch(() => ["never made"])).length === 0) await rmdir(directory);
  }

  async #settle(quiet: boolean): Promise<SandboxConflict[]> {
    const { original, directory, owners } = this.#options;
    const there = await Tree.open(original, owners.original);
    try {
      const staging = join(directory, STAGING);
      await mkdir(staging, { recursive: true, mode: 0o700 });
      const here = await Tree.open(this.path, owners.copy, staging);
      try {
        const keep = join(directory, `conflicts-${process.pid}-${++this.#rounds}`);
        const round = new Round({ original: there, copy: here, owners, guarded: this.#options.guarded, base: this.#base, keep, quiet });
        const changed = await round.run();
        if (!quiet) this.#brought = [...this.#brought, ...round.brought].slice(-MOST_BROUGHT);
        if (changed || quiet) await this.#write();
        return round.conflicts;
      } finally {
        await here.close();
      }
    } finally {
      await there.close();
    }
  }

  async #write(): Promise<void> {
    const { directory, ...options } = this.#options;
    const manifest: Manifest = { options, base: [...this.#base], pid: process.pid, started: await startOf(process.pid) };
    const path = join(directory, MANIFEST);
    await writeFile(`${path}.new`, JSON.stringify(manifest), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
}

const MOST_BROUGHT = 20_000;
const MANIFEST = "manifest.json";
const STAGING = "staging";

interface Manifest {
  options: Omit<ManagedCopyOptions, "directory">;
  base: Array<[string, Base]>;
  /** Whose copy it is. */
  pid: number;
  started: string;
}

async function isRunning(manifest: Manifest): Promise<boolean> {
  return (await startOf(manifest.pid)) === manifest.started;
}

/** When a process began, in ticks of this boot: tells it from a later one of the same number. */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""); // has ended
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "ended";
}

function explained(error: unknown, { original, directory }: ManagedCopyOptions): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (GuildError.is(error) || typeof code !== "string") return error;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new GuildError(full ? "storage_full" : "internal", `cannot keep ${original} and its copy in ${directory} alike: ${code}`, {
    subject: original,
    ...(full ? { remedy: "make room; nothing is lost, the rest is brought over the next time" } : {}),
    cause: error,
  });
}

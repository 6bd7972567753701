import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { GuildError } from "@guildhall/core";

const run = promisify(execFile);

/** A copy in which nobody has worked for so long goes when another is made: what was changed in it is in the checkpoints. */
const KEPT_DAYS = 14;

/**
 * Copies of workspaces in which sessions work whose results are reviewed before they are applied; one a session. It goes when all was applied or
 * the rest given up, and otherwise after two weeks without work in it.
 */
export class ReviewCopies {
  readonly #directory: string;
  readonly #inUse: (session: string) => boolean;
  readonly #now: () => number;

  /** `directory`: ours, on a file system with room for the workspaces. */
  constructor(directory: string, options: { inUse(session: string): boolean; now(): number }) {
    this.#directory = directory;
    this.#inUse = (session) => options.inUse(session);
    this.#now = () => options.now();
  }

  /**
   * The session's copy, made of `source` (default the workspace itself) when there is none: owners, modes, links and times as they are, content shared with the original where the file
   * system can. Throws `storage_full`; `failed_precondition`,
   * among others for a session whose copy has gone with changes in it that nobody has decided upon.
   */
  async open(session: string, workspace: string, source = workspace): Promise<string> {
    const own = join(this.#directory, session);
    const files = join(own, "files");
    if (existsSync(files)) {
      await this.#touch(own);
      return files;
    }
    if (existsSync(join(own, EXPIRED))) {
      throw new GuildError("failed_precondition", `the copy in which the session worked was removed after ${KEPT_DAYS} days`, {
        subject: session,
        remedy: `its changes are kept: guild session apply ${session}, or guild session discard ${session}, then it goes on from your files`,
      });
    }
    await this.#expire();
    if (`${own}/`.startsWith(`${workspace}/`)) {
      throw new GuildError("failed_precondition", "the copy for review would lie within the workspace", {
        subject: workspace,
        remedy: "choose a workspace that does not hold Guildhall's own data",
      });
    }
    await mkdir(own, { recursive: true, mode: 0o700 });
    await chmod(own, 0o700);
    const making = join(own, "making");
    try {
      await copyTree(source, making);
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      const complaint = complaintOf(error);
      throw new GuildError(
        complaint.includes("No space") ? "storage_full" : "failed_precondition",
        `the copy for review cannot be made: ${complaint}`,
        {
          subject: workspace,
          remedy: `${complaint.includes("Permission denied") ? "make that readable" : "make room"}, or apply results directly`,
          cause: error,
        },
      );
    }
    await rename(making, files);
    await this.#touch(own);
    return files;
  }

  /** Whether the session has a copy with files in it. */
  has(session: string): boolean {
    return existsSync(join(this.#directory, session, "files"));
  }

  /** Removes the session's copy; the next `open` makes one of the workspace as it is then. */
  async remove(session: string): Promise<void> {
    await rm(join(this.#directory, session), { recursive: true, force: true });
  }

  /** Removes copies in which nobody has worked for long. */
  async #expire(): Promise<void> {
    for (const session of await readdir(this.#directory).catch(() => [])) {
      const own = join(this.#directory, session);
      const used = (await stat(own).catch(() => undefined))?.mtimeMs; // removed meanwhile
      if (used === undefined || used > this.#now() - KEPT_DAYS * 86_400_000 || this.#inUse(session)) continue;
      if (existsSync(join(own, EXPIRED))) continue;
      await writeFile(join(own, EXPIRED), "", { mode: 0o600 });
      await rm(join(own, "files"), { recursive: true, force: true });
    }
  }

  async #touch(own: string): Promise<void> {
    const now = new Date(this.#now());
    await utimes(own, now, now);
  }
}

/** Copies what others may be changing: a file that goes while it is looked at is no failure, the copy is made anew. */
async function copyTree(source: string, target: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await rm(target, { recursive: true, force: true });
    try {
      await run("cp", ["-a", "--reflink=auto", "--", source, target]);
      return;
    } catch (error) {
      if (attempt === ATTEMPTS || !existsSync(source) || !complaintOf(error).includes("No such file")) throw error;
    }
  }
}

function complaintOf(error: unknown): string {
  return String((error as { stderr?: string }).stderr ?? error).split("\n")[0] ?? "";
}

const ATTEMPTS = 5;

/** Stands where a copy was that went by itself. */
const EXPIRED = "expired";

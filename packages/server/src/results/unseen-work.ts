import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { z } from "zod";

import type { CutOff } from "./cut-off.ts";

/** What something of a session's may have done in its workspace while nobody looked. */
export interface Unseen extends CutOff {
  session: string;
}

/**
 * Work that may go on, or has ended, without anybody having looked at it: what commands have left running when a turn was over, and what was done
 * before a sandbox ended by itself. Written down, so that whoever comes after a process that was killed looks at it. One file a session.
 */
export class UnseenWork {
  readonly #directory: string;
  readonly #now: () => number;

  constructor(directory: string, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  /** `until`: when the last process of it had ended; undefined: they run, and end with this process of ours at the latest. */
  async note(session: string, workspace: string, work: { tree: string; since: number; until?: number }): Promise<void> {
    const { ownerMark } = await import("@guildhall/sandbox");
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = this.#fileOf(session);
    await writeFile(`${file}.new`, JSON.stringify({ ...work, session, workspace, by: ownerMark() }), { mode: 0o600, flush: true });
    await rename(`${file}.new`, file);
  }

  /** Somebody has looked. */
  async forget(session: string): Promise<void> {
    await rm(this.#fileOf(session), { force: true });
  }

  /** The latest in a workspace of which nothing runs any more. Throws what keeps the notes from being read. */
  async find(workspace: string): Promise<Unseen | undefined> {
    const names = (await readdir(this.#directory).catch(unlessAbsent)) ?? [];
    let latest: Unseen | undefined;
    for (const name of names.filter((one) => one.endsWith(".json"))) {
      // It may be forgotten meanwhile.
      const noted = read((await readFile(join(this.#directory, name), "utf8").catch(unlessAbsent)) ?? "");
      if (noted?.workspace !== workspace || noted.since < (latest?.since ?? 0)) continue;
      const { session, tree, since, by } = noted;
      if (noted.until === undefined && (await import("@guildhall/sandbox")).isAlive(by) === true) continue;
      // When exactly its process ended nobody knows.
      latest = { session, tree, since, until: noted.until ?? this.#now() };
    }
    return latest;
  }

  #fileOf(session: string): string {
    return join(this.#directory, `${session}.json`);
  }
}

/** What cannot be read is no proof that there was nothing. */
function unlessAbsent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

const schema = z.object({
  session: z.string(),
  workspace: z.string(),
  tree: z.string(),
  since: z.number(),
  until: z.number().optional(),
  by: z.string(),
});

/** Undefined: it was never finished. */
function read(text: string): z.infer<typeof schema> | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

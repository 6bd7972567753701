import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { isAlive, ownerMark } from "./owner-mark.ts";

/** A workspace in which a sandbox may write. */
export interface OpenHold {
  /** Real path. */
  workspace: string;
  owner: { uid: number; gid: number };
  /** Milliseconds since 1970. */
  began: number;
  /** Git directories whose configuration the sandbox cannot write. */
  guarded: readonly string[];
}

/** What sandboxes hold, written down, so that whoever comes after a process that was killed can put in order what it could not. */
export class OpenHolds {
  readonly #directory: string;
  readonly #own = new Set<string>();
  #recovering: Promise<void> = Promise.resolve();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Before the sandbox starts; the result is called when nothing of it runs any more and all is in order. */
  async open(hold: OpenHold): Promise<() => Promise<void>> {
    const name = `${randomUUID()}.json`;
    const file = join(this.#directory, name);
    this.#own.add(name);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await writeFile(file, JSON.stringify({ ...hold, by: ownerMark() }), { mode: 0o600 });
    return async () => {
      await rm(file, { force: true });
      this.#own.delete(name);
    };
  }

  /** Has `mend` put in order what processes that have ended held. What fails is tried again by the next, and thrown where it is of this workspace. */
  recover(workspace: string, mend: (hold: OpenHold) => Promise<void>): Promise<void> {
    const recovered = this.#recovering.then(() => this.#recover(workspace, mend));
    this.#recovering = recovered.catch(() => {}); // told to whoever waits for it
    return recovered;
  }

  async #recover(workspace: string, mend: (hold: OpenHold) => Promise<void>): Promise<void> {
    const names = await readdir(this.#directory).catch(() => []); // nobody ever held anything
    for (const name of names) {
      if (this.#own.has(name)) continue;
      const file = join(this.#directory, name);
      const hold = read(await readFile(file, "utf8").catch(() => "")); // gone meanwhile
      // A namespace is gone with its container: nobody holds this directory from two.
      if (hold !== undefined && isAlive(hold.by) === true) continue;
      try {
        if (hold !== undefined) await mend(hold);
        await rm(file, { force: true });
      } catch (error) {
        // Of another: that is no reason to refuse this one.
        if (hold?.workspace === workspace) throw error;
      }
    }
  }
}

/** Undefined: it was never finished. */
function read(text: string): (OpenHold & { by: string }) | undefined {
  try {
    return JSON.parse(text) as OpenHold & { by: string }; // written by us, in a directory of ours
  } catch {
    return undefined;
  }
}

import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir } from "node:fs/promises";
import { join } from "node:path";

import { ManagedCopy } from "./managed-copy.ts";
import type { Owners } from "./tree.ts";

/** The copies in one directory: those of this process, and what processes that have died left. */
export class WorkspaceCopies {
  readonly #directory: string;
  readonly #name = `copy-${randomUUID()}-`;
  readonly #own = new Map<ManagedCopy, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** `guarded`: absolute, those elsewhere are left aside. */
  async create(original: string, owners: Owners, guarded: readonly string[]): Promise<ManagedCopy> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const directory = await mkdtemp(join(this.#directory, this.#name));
    const within = guarded.filter((path) => path.startsWith(`${original}/`)).map((path) => path.slice(original.length + 1));
    const bytes = within.map((path) => Buffer.from(path, "utf8").toString("latin1"));
    const copy = await ManagedCopy.create({ original, directory, owners, guarded: bytes });
    this.#own.set(copy, directory);
    return copy;
  }

  /** Brings home what is in it and removes it; when that fails, the next sandbox of this original tries again. */
  async finish(copy: ManagedCopy): Promise<void> {
    try {
      await copy.settle();
      await copy.remove();
    } finally {
      this.#own.delete(copy);
    }
  }

  /** Brings home what a sandbox of this original had done when its host died. */
  async recover(original: string): Promise<void> {
    const names = await readdir(this.#directory).catch(() => [] as string[]); // nobody ever needed a copy
    const own = new Set(this.#own.values());
    for (const name of names) {
      const directory = join(this.#directory, name);
      const left = own.has(directory) ? undefined : await ManagedCopy.left(directory, original, name.startsWith(this.#name));
      await left?.settle();
      await left?.remove();
    }
  }
}

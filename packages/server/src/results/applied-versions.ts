import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import type { FileDifference } from "@guildhall/sandbox";
import { z } from "zod";

const fileSchema = z.strictObject({
  format: z.literal(1),
  /** Last sequence of the log whose changes are settled: applied all, or given up. What comes after it is compared with what was there then. */
  settled: z.int().optional(),
  versions: z.record(z.string(), z.strictObject({ mode: z.int(), id: z.string() }).nullable()),
});
type Versions = z.output<typeof fileSchema>["versions"];

/** Which version of each file of a session was applied last; null: its deletion. One file, replaced atomically. */
export class AppliedVersions {
  readonly #directory: string;
  #versions: Versions;
  #settled: number;

  private constructor(directory: string, versions: Versions, settled: number) {
    this.#directory = directory;
    this.#versions = versions;
    this.#settled = settled;
  }

  /** 0: nothing is settled yet. */
  get settled(): number {
    return this.#settled;
  }

  /** Throws `corrupt`. */
  static async open(directory: string): Promise<AppliedVersions> {
    const file = join(directory, NAME);
    try {
      const { versions, settled = 0 } = fileSchema.parse(JSON.parse(await readFile(file, "utf8")));
      return new AppliedVersions(directory, versions, settled);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return new AppliedVersions(directory, {}, 0);
      throw new GuildError("corrupt", "what was applied of the session cannot be read", {
        subject: file,
        remedy: "remove it: what is in the workspace already is then found by its content",
        cause: error,
      });
    }
  }

  /** Undefined: nothing of it was applied. */
  of(path: string): { version: { mode: number; id: string } | undefined } | undefined {
    const version = this.#versions[path];
    return version === undefined ? undefined : { version: version ?? undefined };
  }

  async add(changes: readonly FileDifference[]): Promise<void> {
    this.#versions = { ...this.#versions, ...Object.fromEntries(changes.map(({ path, to }) => [path, to ?? null])) };
    await this.#store();
  }

  /** Nothing up to this sequence is open any more. */
  async settle(seq: number): Promise<void> {
    this.#versions = {};
    this.#settled = seq;
    await this.#store();
  }

  async #store(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = join(this.#directory, NAME);
    await writeFile(`${file}.new`, JSON.stringify({ format: 1, settled: this.#settled, versions: this.#versions }), {
      mode: 0o600,
      flush: true,
    });
    await rename(`${file}.new`, file);
  }
}

const NAME = "applied.json";

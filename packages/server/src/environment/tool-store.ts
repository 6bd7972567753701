import { hash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import type { ToolVersion } from "@guildhall/core";
import { z } from "zod";

const fileSchema = z.strictObject({
  format: z.literal(1),
  /** By stamp, the last used last. */
  known: z.array(z.tuple([z.string(), z.array(z.strictObject({ name: z.string(), version: z.string(), path: z.string() }))])),
});

const MOST = 200;

/** Versions of programs that have been asked once, by all that could change them; one file, which may be lost. */
export class ToolStore {
  readonly #file: string;
  #known: Map<string, readonly ToolVersion[]> | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  get(stamp: string): readonly ToolVersion[] | undefined {
    return this.#all().get(stamp);
  }

  set(stamp: string, tools: readonly ToolVersion[]): void {
    const known = this.#all();
    known.delete(stamp);
    known.set(stamp, tools);
    for (const oldest of [...known.keys()].slice(0, Math.max(0, known.size - MOST))) known.delete(oldest);
    const temporary = `${this.#file}.${process.pid}`;
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    const entries = [...known].map(([key, all]) => [key, all.map(({ name, version, path = "" }) => ({ name, version, path }))]);
    writeFileSync(temporary, JSON.stringify({ format: 1, known: entries }), { mode: 0o600 });
    renameSync(temporary, this.#file);
  }

  #all(): Map<string, readonly ToolVersion[]> {
    return (this.#known ??= load(this.#file));
  }
}

/** What tells whether programs of these names, in these directories, are still the ones that were asked. */
export function stampOf(names: readonly string[], directories: readonly string[], more: unknown): string {
  const lines = names.map((name) => {
    for (const directory of directories) {
      const stat = statSync(join(directory, name), { throwIfNoEntry: false });
      if (stat?.isFile() === true) return `${name} ${directory} ${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    }
    return name;
  });
  return hash("sha256", JSON.stringify([lines, more]), "hex");
}

function load(file: string): Map<string, readonly ToolVersion[]> {
  try {
    return new Map(fileSchema.parse(JSON.parse(readFileSync(file, "utf8"))).known);
  } catch {
    return new Map(); // never written, or unreadable: programs are asked again
  }
}

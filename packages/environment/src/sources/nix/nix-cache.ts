import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { z } from "zod";

import type { DevEnv } from "./dev-env.ts";

const entrySchema = z.strictObject({
  variables: z.record(z.string(), z.string()),
  path: z.array(z.string()),
  shellHook: z.string(),
  /** Keeps its store paths from being collected. */
  root: z.string(),
});
const fileSchema = z.strictObject({
  format: z.literal(1),
  /** Derivation by the content that it was evaluated from. */
  evaluated: z.record(z.string(), z.string()),
  /** By derivation. */
  built: z.record(z.string(), entrySchema),
});
type Content = z.output<typeof fileSchema>;

export type CachedDevEnv = DevEnv & { root: string };

const MOST = 500;

/** What Nix has made of which content; one file, which may be lost. An entry counts as long as its root is there. */
export class NixCache {
  readonly #file: string | undefined;
  #content: Content | undefined;

  constructor(file: string | undefined) {
    this.#file = file;
  }

  byContent(stamp: string): CachedDevEnv | undefined {
    const derivation = this.#all().evaluated[stamp];
    return derivation === undefined ? undefined : this.byDerivation(derivation);
  }

  byDerivation(derivation: string): CachedDevEnv | undefined {
    const entry = this.#all().built[derivation];
    return entry === undefined || lstatSync(entry.root, { throwIfNoEntry: false }) === undefined ? undefined : entry;
  }

  keep(stamp: string, derivation: string, entry: CachedDevEnv): void {
    const { evaluated, built } = this.#all();
    this.#content = {
      format: 1,
      evaluated: lastOf({ ...evaluated, [stamp]: derivation }),
      built: lastOf({ ...built, [derivation]: entry }),
    };
    if (this.#file === undefined) return;
    const temporary = `${this.#file}.${process.pid}`;
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify(this.#content), { mode: 0o600 });
    renameSync(temporary, this.#file);
  }

  #all(): Content {
    return (this.#content ??= this.#file === undefined ? { format: 1, evaluated: {}, built: {} } : load(this.#file));
  }
}

function lastOf<T>(all: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(all).slice(-MOST));
}

function load(file: string): Content {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return { format: 1, evaluated: {}, built: {} }; // never written, or unreadable: Nix is asked again
  }
}

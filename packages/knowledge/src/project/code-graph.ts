import { posix } from "node:path";

import type { ProjectFile } from "./project-index.ts";

/** Files whose text is read; more, and nothing is known of the rest. */
const MOST_FILES = 5_000;
/** Characters of a file that are read. */
const READ = 200_000;
const TEXT = /\.(?:[mc]?[jt]sx?|py|go|rs|java|kt|rb|c|cc|cpp|h|hpp|cs|php|swift|scala|md|proto|sh|toml|json)$/;
/** An identifier that more files use tells nothing of what belongs together. */
const WIDEST = 20;
/** So that a file with few rare names is not like everything that shares one. */
const DOUBT = 250;

/** What the texts of a project's files tell of which belong together: who names whom, and who uses the same rare names. */
export class CodeGraph {
  readonly #digests = new Map<string, string>();
  readonly #to = new Map<string, ReadonlySet<string>>();
  readonly #from = new Map<string, Set<string>>();
  readonly #uses = new Map<string, ReadonlySet<string>>();
  readonly #usedIn = new Map<string, Set<string>>();

  /** It is of a kind whose text is read. */
  static reads(path: string): boolean {
    return TEXT.test(path) && !/(?:^|\/)(?:package-lock\.json|gen\/|dist\/)/.test(path);
  }

  /** Makes it the graph of exactly these files; reads what is new or changed. */
  async update(files: readonly ProjectFile[]): Promise<void> {
    const read = files.filter(({ path }) => CodeGraph.reads(path)).slice(0, MOST_FILES);
    const there = new Set(read.map(({ path }) => path));
    for (const path of this.#digests.keys()) if (!there.has(path)) this.forget(path);
    for (const file of read) {
      if (this.#digests.get(file.path) === file.digest) continue;
      this.read(file.path, await file.read());
      this.#digests.set(file.path, file.digest);
    }
  }

  /** Replaces what the file said before. */
  read(path: string, text: string): void {
    this.forget(path);
    const shown = text.slice(0, READ);
    this.#to.set(path, namedFiles(path, shown));
    for (const other of this.#to.get(path) ?? []) join(this.#from, other, path);
    this.#uses.set(path, new Set(shown.match(/[A-Za-z_$][\w$]{3,}/g)));
    for (const name of this.#uses.get(path) ?? []) join(this.#usedIn, name, path);
  }

  forget(path: string): void {
    for (const other of this.#to.get(path) ?? []) part(this.#from, other, path);
    for (const name of this.#uses.get(path) ?? []) part(this.#usedIn, name, path);
    for (const map of [this.#to, this.#uses, this.#digests]) map.delete(path);
  }

  /** Files that it imports, links to or names by their path. */
  named(path: string): ReadonlySet<string> {
    return this.#to.get(path) ?? new Set();
  }

  /** Files that do so with it. */
  namedBy(path: string): ReadonlySet<string> {
    return this.#from.get(path) ?? new Set();
  }

  /** Files that use the same rare names, 0 to 1. */
  alike(path: string): Map<string, number> {
    const shared = new Map<string, number>();
    let all = DOUBT;
    for (const name of this.#uses.get(path) ?? []) {
      const users = this.#usedIn.get(name) ?? new Set();
      if (users.size < 2 || users.size > WIDEST) continue;
      const rare = Math.log(this.#uses.size / users.size) ** 2;
      all += rare;
      for (const other of users) if (other !== path) shared.set(other, (shared.get(other) ?? 0) + rare);
    }
    for (const [other, sum] of shared) shared.set(other, sum / all);
    return shared;
  }
}

/** Relative imports and links, and paths from the project's root as configurations and documents have them. */
function namedFiles(path: string, text: string): Set<string> {
  const folder = posix.dirname(path);
  const found = new Set<string>();
  for (const [, name = ""] of text.matchAll(/(?:from|import|import\(|require\()\s*["'](\.{1,2}\/[^"']+)["']/g))
    found.add(posix.join(folder, name));
  if (path.endsWith(".md")) for (const [, name = ""] of text.matchAll(/\]\(([^)#:\s]+)[)#]/g)) found.add(posix.join(folder, name));
  for (const [, name = ""] of text.matchAll(/[`"' ]((?:[\w.-]+\/)+[\w.-]+\.\w+)[`"' ]/g)) found.add(name);
  if (path.endsWith(".py")) {
    for (const [, dots = "", name = ""] of text.matchAll(/^\s*from (\.*)([\w.]*) import/gm)) {
      const base = dots === "" ? "" : posix.join(folder, "../".repeat(dots.length - 1));
      found.add(`${posix.join(base, name.replaceAll(".", "/"))}.py`);
    }
  }
  found.delete(path);
  return found;
}

function join(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, new Set([value]));
  else known.add(value);
}

function part(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key);
  known?.delete(value);
  if (known?.size === 0) map.delete(key);
}

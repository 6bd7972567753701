import { join } from "node:path";

import { bytesToPath, type SandboxConflict } from "@guildhall/core";

import { type Content, type Entry, type Owners, Tree } from "./tree.ts";

/** What an entry was when both sides were last the same. */
export interface Base {
  kind: Entry["kind"];
  content: string;
  original: Seen;
  copy: Seen;
}

interface Seen {
  signature: string;
  young: boolean;
}

export interface RoundOptions {
  original: Tree;
  copy: Tree;
  owners: Owners;
  /** Relative; neither they nor what lies below is looked at. */
  guarded: readonly string[];
  /** Brought up to date. */
  base: Map<string, Base>;
  /** Directory to be made for what loses a conflict. */
  keep: string;
  /** Nobody writes to the copy yet. */
  quiet: boolean;
}

type Side = "original" | "copy";

/** An entry that has changed, and where. */
interface Change {
  path: string;
  original: Entry | undefined;
  copy: Entry | undefined;
  by: Side | "both";
}

/** One time of bringing two trees together. */
export class Round {
  readonly conflicts: SandboxConflict[] = [];
  /** What the original got of the copy. */
  readonly brought: string[] = [];
  readonly #options: RoundOptions;
  /** What was settled together with a directory above. */
  readonly #done: string[] = [];

  constructor(options: RoundOptions) {
    this.#options = options;
  }

  /** True: something had changed. */
  async run(): Promise<boolean> {
    const changes = await this.#changes();
    const removed = changes.filter((one) => one.by !== "both" && one[one.by] === undefined);
    for (const one of removed.toReversed()) await this.#remove(one);
    for (const one of changes) {
      if (this.#done.some((path) => isWithin(one.path, path))) continue;
      if (one.by === "both") await this.#both(one);
      else if (one[one.by] !== undefined) await this.#take(one, one.by);
    }
    return changes.length > 0;
  }

  async #changes(): Promise<Change[]> {
    const { base, guarded } = this.#options;
    const original = await this.#options.original.scan();
    const copy = await this.#options.copy.scan();
    const paths = [...new Set([...base.keys(), ...original.keys(), ...copy.keys()])].toSorted();
    const changes: Change[] = [];
    for (const path of paths) {
      if (!this.#options.quiet && guarded.some((one) => isWithin(path, one))) continue;
      const entries = { path, original: original.get(path), copy: copy.get(path) };
      const there = await this.#changed("original", path, entries.original);
      const here = await this.#changed("copy", path, entries.copy);
      if (there || here) changes.push({ ...entries, by: there && here ? "both" : there ? "original" : "copy" });
    }
    return changes;
  }

  async #changed(side: Side, path: string, entry: Entry | undefined): Promise<boolean> {
    const base = this.#options.base.get(path);
    if (entry === undefined || base === undefined) return (entry === undefined) !== (base === undefined);
    const seen = base[side];
    if (entry.signature !== seen.signature) return true;
    if (!seen.young || entry.kind !== "file") return false;
    const now = await this.#options[side].read(path, "file");
    seen.young = entry.young;
    return now?.content !== base.content;
  }

  /** One side has removed it, the other has left it alone. */
  async #remove(change: Change): Promise<void> {
    const side = change.by === "copy" ? "original" : "copy";
    const entry = change[side];
    if (entry !== undefined && (await this.#isStill(change, side)) && !(await this.#options[side].remove(change.path, entry.kind))) return;
    if (side === "original" && entry !== undefined) this.brought.push(shown(change.path));
    this.#options.base.delete(change.path);
  }

  /** Brings what `from` has to the other side. */
  async #take(change: Change, from: Side): Promise<void> {
    const { owners, base } = this.#options;
    const { path } = change;
    const to = from === "copy" ? "original" : "copy";
    const source = change[from];
    const target = change[to];
    if (source === undefined || !(await this.#isStill(change, to))) return;
    if (target !== undefined && target.kind !== source.kind && !(await this.#options[to].remove(path, target.kind))) {
      if (to === "original") await this.#lose(change); // a person has put something into the directory that the sandbox replaced
      return;
    }
    const taken = await this.#options[to].take(path, this.#options[from], source.kind, owners);
    const put = taken === undefined ? undefined : await this.#options[to].look(path);
    if (taken !== undefined && to === "original") this.brought.push(shown(path));
    if (taken === undefined || put === undefined) return; // changed meanwhile: the next time
    base.set(path, { kind: taken.kind, content: taken.content, ...both(from, taken, put, this.#options.quiet) });
  }

  async #both(change: Change): Promise<void> {
    const { path, original, copy } = change;
    if (original === undefined && copy === undefined) {
      this.#options.base.delete(path);
      return;
    }
    if (copy === undefined) return this.#take(change, "original");
    if (original === undefined) return this.#take(change, "copy");
    if (original.kind === copy.kind) {
      const [one, other] = [await this.#options.original.read(path, original.kind), await this.#options.copy.read(path, copy.kind)];
      if (one === undefined || other === undefined) return;
      if (one.content === other.content && (one.mode === other.mode || one.kind === "symlink")) {
        this.#options.base.set(path, { kind: one.kind, content: one.content, original: seen(one), copy: seen(other) });
        return;
      }
      if (one.content === other.content) return this.#take(change, "original"); // two modes of one content
    }
    await this.#lose(change);
  }

  /** Keeps aside what the sandbox has at the path, and gives it what the original has. */
  async #lose(change: Change): Promise<void> {
    const { copy, owners, keep } = this.#options;
    const { path } = change;
    this.#done.push(path);
    const aside = await Tree.create(keep, owners.original);
    const lost: Array<[string, Entry]> = [];
    try {
      for (const [name, entry] of await copy.scan()) {
        if (!isWithin(name, path)) continue;
        await aside.take(name, copy, entry.kind, owners);
        lost.push([name, entry]);
      }
    } finally {
      await aside.close();
    }
    for (const [name, entry] of lost.toSorted(([a], [b]) => (a < b ? 1 : -1))) {
      await copy.remove(name, entry.kind);
      this.#options.base.delete(name);
    }
    for (const [name, entry] of await this.#options.original.scan()) {
      if (!isWithin(name, path)) continue;
      const now = { path: name, original: entry, copy: await copy.look(name), by: "original" as const };
      if (now.copy?.kind !== "directory" || entry.kind !== "directory") await this.#take(now, "original");
    }
    this.conflicts.push({ path: shown(path), kept: join(keep, shown(path)) });
  }

  /** The entry is what it was when this round began. */
  async #isStill(change: Change, side: Side): Promise<boolean> {
    const now = await this.#options[side].look(change.path);
    const then = change[side];
    if (this.#done.some((path) => isWithin(change.path, path))) return true;
    return now?.signature === then?.signature || then?.kind === "directory";
  }
}

function both(from: Side, taken: Content, put: Entry, quiet: boolean): { original: Seen; copy: Seen } {
  if (from === "copy") return { original: seen(put), copy: seen(taken) };
  return { original: seen(taken), copy: quiet ? { signature: put.signature, young: false } : seen(put) };
}

function seen(entry: Entry): Seen {
  return { signature: entry.signature, young: entry.young };
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function shown(path: string): string {
  return bytesToPath(Buffer.from(path, "latin1"));
}

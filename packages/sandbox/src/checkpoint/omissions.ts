import { isManifest, isProtectedAsLink, type LeftOut, protectedPart } from "@guildhall/core";

/** Why a path is not in a checkpoint; the words that people read. */
export type OmissionReason =
  | "ignored directories"
  | "ignored files over the size limit"
  | "ignored files over the total"
  | "files over the size limit"
  | "unreadable"
  | "neither file, directory nor link"
  | "not understood";

/** What a checkpoint leaves out, and by which rule. */
export class Omissions {
  readonly #reasons = new Map<string, OmissionReason>();
  #text: string | undefined = "";
  #leftOut: LeftOut[] | undefined = [];

  set(path: string, reason: OmissionReason): void {
    if (this.#reasons.get(path) === reason) return;
    this.#reasons.set(path, reason);
    this.#text = this.#leftOut = undefined;
  }

  get(path: string): OmissionReason | undefined {
    return this.#reasons.get(path);
  }

  delete(path: string): void {
    if (this.#reasons.delete(path)) this.#text = this.#leftOut = undefined;
  }

  /** Forgets the path and all below it. */
  deleteBelow(directory: string): void {
    for (const path of this.#reasons.keys()) {
      if (directory === "" || path === directory || path.startsWith(`${directory}/`)) this.delete(path);
    }
  }

  /** Whether this path or one above it is left out. */
  covers(path: string): boolean {
    if (this.#reasons.size === 0) return false;
    for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
      if (this.#reasons.has(path.slice(0, end))) return true;
    }
    return false;
  }

  /** Whole directories are left out. */
  get hasDirectories(): boolean {
    for (const reason of this.#reasons.values()) if (reason === "ignored directories") return true;
    return false;
  }

  /** `Checkpoint.leftOut`; the same array for the same omissions. */
  get leftOut(): readonly LeftOut[] {
    return (this.#leftOut ??= [...this.#reasons].flatMap(([path, reason]): LeftOut[] => {
      // Of what is unreadable nobody knows what it is.
      if (reason === "ignored directories" || reason === "unreadable") return [{ path: path.replace(/\/\*$/, ""), directory: true }];
      const named = protectedPart(path) !== undefined || isProtectedAsLink(path) || isManifest(path);
      return named ? [{ path, directory: false }] : [];
    }));
  }

  entries(): Iterable<[string, OmissionReason]> {
    return this.#reasons;
  }

  /** One line, of bounded length: `ignored directories: dist, node_modules; unreadable: secret`; the same for the same omissions. */
  get text(): string {
    if (this.#text !== undefined) return this.#text;
    const groups = new Map<OmissionReason, string[]>();
    for (const [path, reason] of this.#reasons) {
      const paths = groups.get(reason);
      if (paths === undefined) groups.set(reason, [path]);
      else paths.push(path);
    }
    this.#text = [...groups]
      .map(([reason, paths]) => `${reason}: ${listed(paths)}`)
      .toSorted()
      .join("; ");
    return this.#text;
  }
}

const LISTED = 6;
const LONGEST = 80;

function listed(paths: string[]): string {
  const shown = paths.toSorted().slice(0, LISTED);
  const names = shown.map((path) => (path.length > LONGEST ? `…${path.slice(-LONGEST)}` : path).toWellFormed());
  return names.join(", ") + (paths.length > LISTED ? ` and ${paths.length - LISTED} more` : "");
}

import { pathToBytes } from "@guildhall/core";

import { parseIgnorePattern, type IgnorePattern } from "./ignore-pattern.ts";

/**
 * Which paths of a workspace git would ignore: `.gitignore` of each directory, deeper ones first, then `.git/info/exclude`. The caller goes from
 * the top downwards and does not ask about what lies in an ignored directory.
 */
export class IgnoreRules {
  readonly #files = new Map<string, IgnorePattern[]>();
  #exclude: IgnorePattern[];

  /** `base`: whose `.git/info/exclude` is taken over. */
  constructor(base?: IgnoreRules) {
    this.#exclude = base === undefined ? [] : base.#exclude;
  }

  /** Takes the `.gitignore` of this directory ("" is the workspace); undefined: there is none. */
  setDirectory(directory: string, text: Uint8Array | undefined): void {
    const patterns = text === undefined ? [] : parse(text);
    if (patterns.length === 0) this.#files.delete(directory);
    else this.#files.set(directory, patterns);
  }

  /** Takes `.git/info/exclude`. */
  setExclude(text: Uint8Array | undefined): void {
    this.#exclude = text === undefined ? [] : parse(text);
  }

  /** Forgets the files of this directory and below it. */
  forget(directory: string): void {
    for (const known of this.#files.keys()) {
      if (directory === "" || known === directory || known.startsWith(`${directory}/`)) this.#files.delete(known);
    }
  }

  ignores(path: string, directory: boolean): boolean {
    if (this.#files.size === 0 && this.#exclude.length === 0) return false;
    // One character a byte, which is what patterns are matched against.
    const bytes = ascii.test(path) ? path : pathToBytes(path).toString("latin1");
    const name = bytes.slice(bytes.lastIndexOf("/") + 1);
    for (let end = path.lastIndexOf("/"), bytesEnd = bytes.lastIndexOf("/"); ;) {
      const patterns = this.#files.get(end < 0 ? "" : path.slice(0, end));
      const verdict = patterns && judge(patterns, bytes.slice(bytesEnd + 1), name, directory);
      if (verdict !== undefined) return verdict;
      if (end < 0) break;
      end = path.lastIndexOf("/", end - 1);
      bytesEnd = bytes.lastIndexOf("/", bytesEnd - 1);
    }
    return judge(this.#exclude, bytes, name, directory) ?? false;
  }
}

const ascii = /^[\x20-\x7e]*$/;

function parse(text: Uint8Array): IgnorePattern[] {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString("latin1");
  const lines = (bytes.startsWith("\xef\xbb\xbf") ? bytes.slice(3) : bytes).split("\n");
  return lines.map(parseIgnorePattern).filter((pattern) => pattern !== undefined);
}

/** The last line that matches decides. */
function judge(patterns: IgnorePattern[], path: string, name: string, directory: boolean): boolean | undefined {
  for (let index = patterns.length - 1; index >= 0; index--) {
    const pattern = patterns[index];
    if (pattern === undefined || (pattern.directoryOnly && !directory)) continue;
    if (pattern.matches(path, name)) return !pattern.negative;
  }
  return undefined;
}

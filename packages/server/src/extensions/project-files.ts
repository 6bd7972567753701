import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, realpathSync } from "node:fs";
import { join } from "node:path";

import { stampOf } from "../trust/trusted-files.ts";

/** Text of a file below a directory that no link leads out of; undefined: there is none. At most so many bytes. */
export function readInside(directory: string, path: string, most: number): string | undefined {
  const full = join(directory, path);
  let fd: number;
  try {
    if (realpathSync.native(full) !== join(realpathSync.native(directory), path)) return undefined;
    fd = openSync(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    // Not there, or not to be read: the same to us.
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return undefined;
    const bytes = Buffer.alloc(Math.min(most, stat.size));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)).toString("utf8");
  } finally {
    closeSync(fd);
  }
}

/** Names in a directory, in order; none where there is no such directory, or a link leads to it. */
export function namesInside(directory: string, path: string): string[] {
  try {
    const full = join(directory, path);
    return realpathSync.native(full) === join(realpathSync.native(directory), path) ? readdirSync(full).toSorted().slice(0, 200) : [];
  } catch {
    // The same.
    return [];
  }
}

/** What was made of files, until one of them has changed. */
export class MadeFrom<T> {
  readonly #known = new Map<string, { stamp: string; made: T }>();

  /** `paths` are looked at each time; `make` is called again when one of them is another. */
  of(key: string, paths: readonly string[], make: () => T): T {
    const stamp = stampOf(paths);
    const known = this.#known.get(key);
    if (known?.stamp === stamp) return known.made;
    const made = make();
    this.#known.set(key, { stamp, made });
    return made;
  }
}

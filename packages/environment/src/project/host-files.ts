import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, realpathSync } from "node:fs";
import { join } from "node:path";

import type { ProjectFiles } from "@guildhall/core";

/** Larger files are no manifests. */
const LARGEST = 1024 * 1024;
const MOST_ENTRIES = 5_000;

/**
 * A project's files on the machine. No link is followed, neither of a file nor of a directory on the way: what an agent planted leads nowhere.
 * `workspace`: a real path. They are few and small: asking the kernel at once costs a tenth of a round through the thread pool for each.
 */
export function hostFiles(workspace: string): ProjectFiles {
  return {
    list: async (directory) => {
      const full = join(workspace, directory);
      try {
        if (realpathSync.native(full) !== full) return [];
        return readdirSync(full, { withFileTypes: true })
          .slice(0, MOST_ENTRIES)
          .map((entry) => ({ name: entry.name, kind: entry.isFile() ? "file" : entry.isDirectory() ? "directory" : "other" }) as const)
          .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      } catch {
        return []; // not there, or not ours to read: there is nothing to find
      }
    },
    read: async (path) => {
      const full = join(workspace, path);
      try {
        if (realpathSync.native(full) !== full) return undefined;
        return readSmall(full);
      } catch {
        return undefined; // as for list
      }
    },
  };
}

/** Undefined: no plain file, or a larger one. */
function readSmall(path: string): string | undefined {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > LARGEST) return undefined;
    const bytes = Buffer.allocUnsafe(stat.size);
    let length = 0;
    while (length < bytes.length) {
      const got = readSync(file, bytes, length, bytes.length - length, null);
      if (got === 0) break;
      length += got;
    }
    return bytes.toString("utf8", 0, length);
  } finally {
    closeSync(file);
  }
}

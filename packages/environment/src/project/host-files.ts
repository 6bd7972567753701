import { constants } from "node:fs";
import { open, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";

import type { ProjectFiles } from "@guildhall/core";

/** Larger files are no manifests. */
const LARGEST = 1024 * 1024;
const MOST_ENTRIES = 5_000;

/**
 * A project's files on the machine. No link is followed, neither of a file nor of a directory on the way: what an agent planted leads nowhere.
 * `workspace`: a real path.
 */
export function hostFiles(workspace: string): ProjectFiles {
  return {
    async list(directory) {
      const full = join(workspace, directory);
      try {
        if ((await realpath(full)) !== full) return [];
        const entries = await readdir(full, { withFileTypes: true });
        return entries
          .slice(0, MOST_ENTRIES)
          .map((entry) => ({ name: entry.name, kind: entry.isFile() ? "file" : entry.isDirectory() ? "directory" : "other" }) as const)
          .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      } catch {
        return []; // not there, or not ours to read: there is nothing to find
      }
    },
    async read(path) {
      const full = join(workspace, path);
      try {
        if ((await realpath(full)) !== full) return undefined;
        const file = await open(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
        try {
          const stat = await file.stat();
          if (!stat.isFile() || stat.size > LARGEST) return undefined;
          return (await file.readFile()).toString("utf8");
        } finally {
          await file.close();
        }
      } catch {
        return undefined; // as for list
      }
    },
  };
}

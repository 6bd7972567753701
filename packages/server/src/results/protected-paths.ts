import { readdirSync } from "node:fs";
import { join } from "node:path";

import { isBelow, protectedPart } from "@guildhall/core";

/** Never looked into: large, and not where programs of a person look for their configuration. */
const PASSED_OVER: ReadonlySet<string> = new Set([".git", "node_modules", "target", "dist", "build", "vendor", ".venv", "venv", ".cache"]);
const DEEPEST = 8;
const MOST_DIRECTORIES = 2_000;
const MOST_PATHS = 100;

/**
 * What there is in a workspace that programs of the person run or obey, relative; to be read-only for an agent. No link is followed, and links
 * are left out: what they lead to is protected, or is not in the workspace. Looks a few levels deep.
 */
export function protectedPaths(workspace: string, unprotected: readonly string[]): string[] {
  const found: string[] = [];
  let directories: string[] = [""];
  let looked = 0;
  for (let depth = 0; depth < DEEPEST && directories.length > 0; depth += 1) {
    const next: string[] = [];
    for (const directory of directories) {
      if ((looked += 1) > MOST_DIRECTORIES || found.length >= MOST_PATHS) return found;
      for (const entry of entriesOf(join(workspace, directory))) {
        const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
        if (!entry.isFile() && !entry.isDirectory()) continue;
        const guarded = protectedPart(path) !== undefined && !isBelow(path, unprotected);
        // Of a directory in which something may be written all the rest is looked at piece by piece.
        const opened = guarded && entry.isDirectory() && unprotected.some((place) => isBelow(place, [path]));
        if (guarded && !opened) found.push(path);
        else if (entry.isDirectory() && !PASSED_OVER.has(entry.name)) next.push(path);
      }
    }
    directories = next;
  }
  return found;
}

function entriesOf(directory: string): Array<{ name: string; isFile(): boolean; isDirectory(): boolean }> {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // gone meanwhile, or not ours to read: then not the agent's to change either
  }
}

import { type Dirent, readdirSync, realpathSync } from "node:fs";
import { join, relative } from "node:path";

import { isBelow, isProtectedAsLink, protectedPart } from "@guildhall/core";

/** Never looked into: large, and not where programs of a person look for their configuration. */
export const PASSED_OVER: ReadonlySet<string> = new Set([
  ".git",
  "node_modules",
  "target",
  "dist",
  "build",
  "vendor",
  ".venv",
  "venv",
  ".cache",
]);
const DEEPEST = 8;
const MOST_DIRECTORIES = 2_000;
const MOST_PATHS = 100;

/** Whether a path is one of those, or below one. */
export function isPassedOver(path: string): boolean {
  return path.split("/").some((name) => PASSED_OVER.has(name));
}

/** Whether a path (relative) is one whose making or change by an agent is taken back; of links alone where `isProtectedAsLink` says so. */
export function isHeld(path: string, unprotected: readonly string[]): boolean {
  return (protectedPart(path) !== undefined || isProtectedAsLink(path)) && !isBelow(path, unprotected);
}

/**
 * What there is in a workspace that programs of the person run or obey, relative; to be read-only for an agent. Of links that is what they lead to,
 * as far as it is in the workspace. Looks a few levels deep.
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
        const led = entry.isSymbolicLink() && protectedPart(path) !== undefined && !isBelow(path, unprotected);
        if (led) found.push(...whereItLeads(workspace, path).filter((real) => !isBelow(real, unprotected)));
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

/** Within the workspace; before anything of an agent's runs there. */
function whereItLeads(workspace: string, link: string): string[] {
  try {
    const path = relative(realpathSync(workspace), realpathSync(join(workspace, link)));
    return path === "" || path === ".." || path.startsWith("../") ? [] : [path];
  } catch {
    return []; // nowhere
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // gone meanwhile, or not ours to read: then not the agent's to change either
  }
}

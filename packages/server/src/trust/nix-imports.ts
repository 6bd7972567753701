import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** What an evaluation never gets to see, and may be enormous. */
const LEFT_OUT: ReadonlySet<string> = new Set([".git", ".hg", ".svn", ".direnv", ".devenv", "node_modules", "target", ".venv", "venv"]);
const LARGEST = 1024 * 1024;

/** A path as Nix code writes it, in or out of a string, or a name that ends in `.nix`; and whether it is imported, whatever it is called. */
const PATHS = /(\bimport\s{0,9}\(?\s{0,9})?(\.{1,2}\/[\w.+/-]*|\/?[\w.+-][\w.+/-]*\.nix\b)/g;

/**
 * Nix files that evaluating `entries` may take in, relative and in order, the entries not: what they name, directly or through each other, and all
 * Nix files of a directory that they name. Code that makes a name up of parts is covered as far as its parts are names. More than `most` end the
 * search, with one too many.
 */
export function nixImports(workspace: string, entries: readonly string[], most: number): string[] {
  const found = new Set<string>();
  const ahead = entries.filter((path) => path.endsWith(".nix"));
  const seen = new Set<string>(ahead);
  const take = (path: string, code: boolean): void => {
    if (seen.has(path) || found.size > most) return;
    const kind = kindOf(workspace, path);
    if (kind === "directory") {
      seen.add(path);
      takeAll(workspace, path, take);
    } else if (kind === "file" && (code || path.endsWith(".nix"))) {
      seen.add(path);
      found.add(path);
      ahead.push(path);
    }
  };
  for (let at = ahead.shift(); at !== undefined && found.size <= most; at = ahead.shift()) {
    const text = textOf(join(workspace, at));
    for (const [, imported, name = ""] of text.matchAll(PATHS)) {
      for (const path of new Set([within(dirname(at), name), within(".", name)])) {
        if (path === undefined) continue;
        // The workspace itself is named as what is built; its Nix files count where they are named.
        if (path !== ".") take(path, imported !== undefined);
        else if (imported !== undefined) take("default.nix", true);
      }
    }
    // Code that looks for files by itself.
    if (/\breadDir\b|\blistFilesRecursive\b/.test(text)) takeAll(workspace, dirname(at), take);
  }
  return [...found].toSorted();
}

function takeAll(workspace: string, directory: string, take: (path: string, code: boolean) => void): void {
  for (const entry of entriesOf(join(workspace, directory))) {
    if (LEFT_OUT.has(entry.name)) continue;
    const path = directory === "." ? entry.name : `${directory}/${entry.name}`;
    if (entry.isDirectory() || entry.name.endsWith(".nix")) take(path, false);
  }
}

function within(directory: string, name: string): string | undefined {
  const path = normalize(join(directory, name)).replace(/\/+$/, "");
  return path.startsWith("..") || path.split("/").some((part) => LEFT_OUT.has(part)) ? undefined : path;
}

function kindOf(workspace: string, path: string): "file" | "directory" | undefined {
  const found = lstatSync(join(workspace, path), { throwIfNoEntry: false });
  return found?.isDirectory() === true ? "directory" : found?.isFile() === true || found?.isSymbolicLink() === true ? "file" : undefined;
}

function entriesOf(directory: string): Array<{ name: string; isDirectory(): boolean }> {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // not ours to read: then not Nix's
  }
}

function textOf(file: string): string {
  try {
    const found = lstatSync(file);
    return found.isFile() && found.size <= LARGEST ? readFileSync(file, "utf8") : "";
  } catch {
    return ""; // gone meanwhile; its digest tells
  }
}

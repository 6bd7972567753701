import { GuildError, type FileStat, type Sandbox } from "@guildhall/core";

import type { FileIntake } from "./file-intake.ts";
import { joinPath, type KnownWorkspace } from "./known-workspace.ts";
import { isAboutTheFile, readGitFacts, TrackedFiles } from "./tracked-files.ts";
import { DirectoryNode } from "./workspace-tree.ts";

/** Looks at the whole workspace. What is known already costs one reading of its times. */
export async function scanAll(sandbox: Sandbox, known: KnownWorkspace, intake: FileIntake): Promise<void> {
  const facts = await readGitFacts(sandbox.files);
  known.tracked = facts.tracked;
  known.ignore.setExclude(facts.exclude);
  for (const path of facts.links) known.repositories.linked(path);
  if (facts.indexNotUnderstood) known.omissions.set(".git/index", "not understood");
  else known.omissions.delete(".git/index");

  // What was told up to now is seen anyway.
  await sandbox.changes.changes();
  await sandbox.changes.track([".git"]);
  const directories = known.tree.directories();
  if (directories.length === 1) await explore("", sandbox, known, intake);
  else {
    const linked = [...known.tree.files()].flatMap(([path, file]) => (file.linked ? [path] : []));
    const tracked = [...directories, ...linked];
    for (let at = 0; at < tracked.length; at += TRACKED_AT_ONCE) await sandbox.changes.track(tracked.slice(at, at + TRACKED_AT_ONCE));
    for (const unknown of await compare("", sandbox, known, intake)) await explore(unknown, sandbox, known, intake);
  }
  await intake.drain();
  // Everything was looked at.
  known.tree.touchedLinks.clear();
  // Of the others nobody will ask.
  known.tracked = new TrackedFiles(intake.trackedIgnored);
}

/** Looks at these paths, which may have changed in any way. */
export async function scanPaths(paths: string[], sandbox: Sandbox, known: KnownWorkspace, intake: FileIntake): Promise<void> {
  for (const path of paths) known.repositories.touched(path);
  // From the top downwards: what lies below a directory that has become something else is gone, even if a link in its place leads there.
  const targets = [...new Set(paths.map((path) => known.target(path)).filter((path) => path !== undefined))].toSorted();
  const noDirectories = new Set<string>();
  const directories: string[] = [];
  for (let at = 0; at < targets.length; at += STATS_AT_ONCE) {
    const some = targets.slice(at, at + STATS_AT_ONCE);
    const stats = await Promise.all(some.map((path) => intake.stat(path === "" ? "." : path)));
    for (const [index, path] of some.entries()) {
      const stat = stats[index];
      if (stat?.kind === "directory") {
        directories.push(path);
        continue;
      }
      noDirectories.add(path);
      if (ancestors(path).some((ancestor) => noDirectories.has(ancestor))) continue;
      if (stat === undefined) known.forget(path);
      else await intake.visit(path, stat, true);
    }
  }
  const explored = new Set<string>();
  for (const path of directories.toSorted()) {
    if (ancestors(path).some((ancestor) => explored.has(ancestor))) continue;
    explored.add(path);
    if (path !== "" && known.coverage(path, true) === "ignored") known.leaveOut(path, "ignored directories");
    else await explore(path, sandbox, known, intake);
  }
  for (const path of await intake.visitTouchedLinks()) await explore(path, sandbox, known, intake);
  await intake.drain();
}

const TRACKED_AT_ONCE = 4096;
const STATS_AT_ONCE = 1024;
const LISTED_AT_ONCE = 64;
const LONGEST_IGNORE_FILE = 1024 * 1024;

/**
 * Watches a directory and the covered ones below it, and takes in their files. Each is watched before it is listed, so that what comes
 * into it meanwhile is told by a later call of `changes`.
 */
async function explore(directory: string, sandbox: Sandbox, known: KnownWorkspace, intake: FileIntake): Promise<void> {
  known.ignore.forget(directory);
  for (let level = [directory]; level.length > 0;) {
    const next: string[] = [];
    for (let at = 0; at < level.length; at += LISTED_AT_ONCE) {
      const some = level.slice(at, at + LISTED_AT_ONCE);
      await sandbox.changes.track(some);
      for (const found of await Promise.all(some.map((path) => listDirectories(path, sandbox, known)))) next.push(...found);
    }
    level = next;
  }
  // Those made since they were listed.
  for (const unknown of await compare(directory, sandbox, known, intake)) await explore(unknown, sandbox, known, intake);
}

/** Covered directories directly below; the others are noted as left out. */
async function listDirectories(path: string, sandbox: Sandbox, known: KnownWorkspace): Promise<string[]> {
  let entries;
  try {
    entries = await sandbox.files.list(path === "" ? "." : path);
  } catch (error) {
    if (!isAboutTheFile(error)) throw error;
    if (GuildError.is(error, "permission_denied")) known.leaveOut(path, "unreadable");
    else known.forget(path);
    return [];
  }
  known.omissions.delete(path);
  known.tree.makeDirectory(path).trackedOnly = path !== "" && known.coverage(path, true) === "tracked";
  if (entries.some(({ name, kind }) => name === ".gitignore" && kind === "file")) await readIgnoreFile(path, sandbox, known);
  const names = new Set(entries.map(({ name }) => name));
  known.repositories.listed(path, (name) => names.has(name));
  const found: string[] = [];
  for (const { name, kind } of entries) {
    if (kind !== "directory" || name === ".git") continue;
    const child = joinPath(path, name);
    if (known.coverage(child, true) === "ignored") known.leaveOut(child, "ignored directories");
    else {
      known.omissions.delete(child);
      found.push(child);
    }
  }
  return found;
}

/** Compares what lies below a directory with what is known; returns directories that are covered but not known yet. */
async function compare(directory: string, sandbox: Sandbox, known: KnownWorkspace, intake: FileIntake): Promise<string[]> {
  const below = directory === "" ? "" : `${directory}/`;
  const skip = [".git"];
  for (const [path, reason] of known.omissions.entries()) {
    if (reason === "ignored directories" && path.startsWith(below)) skip.push(`/${path.slice(below.length)}`);
  }
  const listing: Listing = new Map();
  try {
    for await (const batch of sandbox.files.walk(directory === "" ? "." : directory, { skip })) {
      for (const { path, stat } of batch) addToListing(listing, path, stat);
    }
  } catch (error) {
    if (!isAboutTheFile(error) || directory === "") throw error;
    return [];
  }
  for (const [path, reason] of known.omissions.entries()) {
    if (path.startsWith(below) && reason !== "not understood" && !isListed(listing, path.slice(below.length))) known.omissions.delete(path);
  }
  const skipped = new Set(skip.map((path) => below + path.slice(1)));
  const unknown: string[] = [];
  const compareListing = async (at: string, entries: Listing): Promise<void> => {
    const node = known.tree.makeDirectory(at);
    known.repositories.listed(at, (name) => entries.has(name));
    if (entries.get(".gitignore")?.stat.kind === "file") await readIgnoreFile(at, sandbox, known);
    else known.ignore.setDirectory(at, undefined);
    for (const name of node.children.keys()) if (!entries.has(name)) known.forget(joinPath(at, name));
    for (const [name, { stat, inside }] of entries) {
      if (name === ".git") continue;
      const path = joinPath(at, name);
      if (stat.kind !== "directory") {
        await intake.visit(path, stat, false);
        continue;
      }
      const coverage = known.coverage(path, true);
      if (coverage === "ignored") known.leaveOut(path, "ignored directories");
      else {
        const child = known.tree.get(path);
        if (!(child instanceof DirectoryNode) || skipped.has(path)) unknown.push(path);
        else {
          child.trackedOnly = coverage === "tracked";
          await compareListing(path, inside ?? new Map());
        }
      }
    }
  };
  await compareListing(directory, listing);
  return unknown;
}

async function readIgnoreFile(directory: string, sandbox: Sandbox, known: KnownWorkspace): Promise<void> {
  let text: Uint8Array | undefined;
  try {
    text = await sandbox.files.read(joinPath(directory, ".gitignore"), { length: LONGEST_IGNORE_FILE });
  } catch (error) {
    if (!isAboutTheFile(error)) throw error;
  }
  known.ignore.setDirectory(directory, text);
}

type Listing = Map<string, Listed>;

interface Listed {
  stat: FileStat;
  inside: Listing | undefined;
}

function addToListing(listing: Listing, path: string, stat: FileStat): void {
  const names = path.split("/");
  const name = names.pop() ?? "";
  let parent = listing;
  for (const directory of names) {
    const entry = parent.get(directory);
    // Its directory was not told: it vanished and came back under way, which the tracker tells.
    if (entry === undefined) return;
    entry.inside ??= new Map();
    parent = entry.inside;
  }
  parent.set(name, { stat, inside: undefined });
}

function isListed(listing: Listing, path: string): boolean {
  let inside: Listing | undefined = listing;
  for (const name of path.split("/")) {
    const entry: Listed | undefined = inside?.get(name);
    if (entry === undefined) return false;
    inside = entry.inside;
  }
  return true;
}

function ancestors(path: string): string[] {
  const found = [""];
  for (let end = path.indexOf("/"); end > 0; end = path.indexOf("/", end + 1)) found.push(path.slice(0, end));
  return found;
}

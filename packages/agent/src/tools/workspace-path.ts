import { posix } from "node:path";

import { GuildError, type Sandbox, type SandboxFiles } from "@guildhall/core";

/** A path that a tool was given, found to be within the workspace. */
export interface WorkspacePath {
  /** Absolute, every link resolved; may not exist. */
  real: string;
  /** As people read it: relative to the workspace, links not resolved; `.` is the workspace. */
  shown: string;
}

/**
 * Resolves a path, relative to the workspace or absolute, and proves that it stays within it, links followed; a dangling link is
 * followed to where it points. Throws `permission_denied` for one that leads out, `invalid_argument` for what is no path.
 */
export async function workspacePath(sandbox: Sandbox, path: string): Promise<WorkspacePath> {
  if (path === "" || path.includes("\0")) throw new GuildError("invalid_argument", `not a path: ${JSON.stringify(path)}`);
  const root = await realWorkspace(sandbox);
  const absolute = posix.resolve(sandbox.workspace, path);
  const shown = within(sandbox.workspace, absolute) ?? within(root, absolute);
  if (shown === undefined) throw outside(path, absolute, sandbox.workspace);
  const real = await realTarget(sandbox.files, posix.join(root, shown), 0);
  if (within(root, real) === undefined) throw outside(path, real, sandbox.workspace);
  return { real, shown: shown === "" ? "." : shown };
}

/** Lexical form of the same, for declaring resources before anything is touched. */
export function lexicalPath(workspace: string, path: string): string {
  return posix.resolve(workspace, path);
}

/** Files that decide what others may do or that run by themselves. */
export function isConfiguration(workspace: string, path: string): boolean {
  return /^(\.git|\.guildhall)(\/|$)/.test(posix.relative(workspace, lexicalPath(workspace, path)));
}

const roots = new WeakMap<Sandbox, Promise<string>>();

function realWorkspace(sandbox: Sandbox): Promise<string> {
  const known = roots.get(sandbox);
  if (known !== undefined) return known;
  const root = sandbox.files.realpath(sandbox.workspace);
  roots.set(sandbox, root);
  return root;
}

async function realTarget(files: SandboxFiles, path: string, depth: number): Promise<string> {
  if (depth > 64) throw new GuildError("invalid_argument", `too many links or levels in ${path}`, { subject: path });
  try {
    return await files.realpath(path);
  } catch (error) {
    if (!GuildError.is(error, "not_found") || path === "/") throw error;
  }
  const parent = await realTarget(files, posix.dirname(path), depth + 1);
  const here = posix.join(parent, posix.basename(path));
  const link = await readLink(files, here);
  return link === undefined ? here : realTarget(files, posix.resolve(parent, link), depth + 1);
}

async function readLink(files: SandboxFiles, path: string): Promise<string | undefined> {
  try {
    const stat = await files.stat(path);
    return stat.kind === "symlink" ? await files.readlink(path) : undefined;
  } catch (error) {
    if (GuildError.is(error, "not_found")) return undefined;
    throw error;
  }
}

function within(root: string, path: string): string | undefined {
  const relative = posix.relative(root, path);
  return relative === ".." || relative.startsWith("../") ? undefined : relative;
}

function outside(path: string, target: string, workspace: string): GuildError {
  const arrow = path === target ? "" : ` → ${target}`;
  return new GuildError("permission_denied", `${path}${arrow} is outside the workspace ${workspace}`, {
    subject: path,
    remedy: "give a path within the workspace; use bash for anything else",
  });
}

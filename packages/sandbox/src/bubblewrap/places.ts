import type { ManagedCopy } from "../managed-copy/managed-copy.ts";
import { BUNDLE_FILE, WAY_OUT_MOUNT } from "../network/way-out.ts";
import type { Toolkit } from "../toolkit.ts";
import { hasSystemBundle, type Mount, SYSTEM_BUNDLE } from "./arguments.ts";
import type { Guard } from "./git-guard.ts";

/** Where the launcher puts what it mounts for us. */
export const PREPARED = "/run/guildhall-host";

/** Where bubblewrap finds what it mounts, and what the launcher is told to prepare. */
export interface Places {
  launch: string[];
  systemFiles: string;
  toolkit: string;
  wayOut: string | undefined;
  toolchain: Mount[];
  writable: Mount[];
  /** Source of a path within the workspace or what is outside of it. */
  at(path: string): string;
}

/** Directories of the host that the spec names. */
export interface Given {
  wayOut: string | undefined;
  toolchain: Mount[];
}

export function ownPlaces(workspace: string, guard: Guard, systemFiles: string, toolkit: Toolkit, given: Given): Places {
  const writable = [workspace, ...guard.outside].map((path) => ({ source: path, at: path }));
  return { launch: [], systemFiles, toolkit: toolkit.directory, ...given, writable, at: (path) => path };
}

/** As root: everything is mounted by the launcher where the unprivileged user can reach it, whoever may enter the way there. */
export function preparedPlaces(
  workspace: { path: string; uid: number; gid: number },
  guard: Guard,
  copies: readonly ManagedCopy[],
  systemFiles: string,
  toolkit: Toolkit,
  { wayOut, toolchain }: Given,
): Places {
  const roots = [workspace.path, ...guard.outside].map((path, index) => ({ at: path, source: `${PREPARED}/tree${index}` }));
  const launch = [
    roots.flatMap((root, index) => [
      "--idmap",
      copies[index]?.path ?? root.at,
      String(workspace.uid),
      String(workspace.gid),
      `tree${index}`,
    ]),
    ["--bind", systemFiles, "etc", "--bind", toolkit.directory, "toolkit"],
    wayOut === undefined ? [] : ["--bind", wayOut, "way-out"],
    toolchain.flatMap(({ source }, index) => ["--bind", source, `tool${index}`]),
  ].flat();
  return {
    launch,
    systemFiles: `${PREPARED}/etc`,
    toolkit: `${PREPARED}/toolkit`,
    wayOut: wayOut === undefined ? undefined : `${PREPARED}/way-out`,
    toolchain: toolchain.map(({ at }, index) => ({ source: `${PREPARED}/tool${index}`, at })),
    writable: roots,
    at: (path) => {
      const root = roots.find((one) => path === one.at || path.startsWith(`${one.at}/`));
      return root === undefined ? path : root.source + path.slice(root.at.length);
    },
  };
}

/** What the placer is told, of a sandbox that runs already and waits for its workspace: the same mounts, in the same order. */
export function placerOptions(given: {
  asRoot: boolean;
  ids: { uid: number; gid: number };
  workspace: { path: string; uid: number; gid: number };
  guard: Guard;
  copies: readonly ManagedCopy[];
  given: Given;
  inside(path: string): string;
}): string[] {
  const { ids, workspace, guard, copies, inside } = given;
  const { wayOut, toolchain } = given.given;
  const tree = (path: string, index: number): string[] => {
    const copy = copies[index]?.path;
    if (copy !== undefined || !given.asRoot) return ["--tree", copy ?? path, inside(path)];
    return ["--idmap", path, String(workspace.uid), String(workspace.gid), inside(path)];
  };
  return [
    ["--uid", String(ids.uid), "--gid", String(ids.gid)],
    wayOut === undefined ? [] : ["--tool", wayOut, WAY_OUT_MOUNT],
    wayOut === undefined || !hasSystemBundle() ? [] : ["--tool", `${wayOut}/${BUNDLE_FILE}`, SYSTEM_BUNDLE],
    toolchain.flatMap(({ source, at }) => ["--tool", source, at]),
    [workspace.path, ...guard.outside].flatMap(tree),
    guard.paths.flatMap(({ path, mount }) => [`--${mount}`, inside(path)]),
  ].flat();
}

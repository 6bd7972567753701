import { lchown, lstat, mkdir } from "node:fs/promises";
import { join, relative, resolve } from "node:path";

import { GuildError, type SandboxFiles, type SandboxVolume } from "@guildhall/core";

/** The sandbox's own volumes, each at its absolute place, and those of them that lie below the workspace. */
export interface PlacedVolumes {
  all: readonly SandboxVolume[];
  below: readonly SandboxVolume[];
}

/** The sandbox's own places stay its own, as does what is guarded in the workspace. Throws `invalid_argument`. */
export function placedVolumes(volumes: readonly SandboxVolume[], workspace: string, guarded: readonly string[]): PlacedVolumes {
  const all = volumes.map((one) => ({ ...one, at: one.at.startsWith("/") ? one.at : resolve(workspace, one.at) }));
  const below = all.filter(({ at }) => isWithin(at, workspace) && at !== workspace);
  const kept = [...guarded, join(workspace, ".git")];
  const over = all.find(({ at }) =>
    isWithin(at, workspace) && at !== workspace
      ? at !== resolve(at) || kept.some((path) => isWithin(at, path) || isWithin(path, at))
      : at === "/" || OWN.some((place) => isWithin(at, place)) || isWithin(workspace, at),
  );
  if (over === undefined) return { all, below };
  throw new GuildError("invalid_argument", `a volume cannot stand at ${over.at} in a sandbox`, { subject: over.name });
}

const OWN = ["/proc", "/sys", "/dev", "/etc", "/tmp", "/run/guildhall"];

/**
 * Directories for volumes below a tree, where an engine would make them root's. `at`: absolute, below `workspace`; `root`: the tree that stands for it.
 * Throws `failed_precondition` where something else is.
 */
export async function makeMountPoints(
  volumes: readonly SandboxVolume[],
  { workspace, root, owner }: { workspace: string; root: string; owner: { uid: number; gid: number } | undefined },
): Promise<void> {
  for (const { at } of volumes) {
    let path = root;
    for (const part of relative(workspace, at).split("/")) {
      path = join(path, part);
      const found = await lstat(path).catch(() => undefined); // not there
      if (found === undefined) {
        await mkdir(path);
        if (owner !== undefined) await lchown(path, owner.uid, owner.gid);
      } else if (!found.isDirectory()) throw inTheWay(path);
    }
  }
}

/** The same by the sandbox itself, below the workspace that is mounted in it. */
export async function makeMountPointsInside(volumes: readonly SandboxVolume[], workspace: string, files: SandboxFiles): Promise<void> {
  for (const { at } of volumes) {
    await files.mkdir(at, { parents: true });
    let path = workspace;
    for (const part of relative(workspace, at).split("/")) {
      path = join(path, part);
      if ((await files.stat(path, { follow: false })).kind !== "directory") throw inTheWay(path);
    }
  }
}

function inTheWay(path: string): GuildError {
  return new GuildError("failed_precondition", `a volume cannot stand where a link or a file is`, {
    subject: path,
    remedy: "remove it, or the volume",
  });
}

export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

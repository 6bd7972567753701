import { accessSync, constants, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** What limits a sandbox may get from cgroups here, and where. */
export interface Hierarchies {
  /** Directories in which a group for a sandbox can be made, by controller. With version 2 they are one and the same. */
  memory: string | undefined;
  pids: string | undefined;
  cpu: string | undefined;
  /** A version 2 directory for `cgroup.kill`, perhaps without controllers. */
  unified: string | undefined;
  version: 1 | 2 | undefined;
}

/**
 * Finds the cgroup directories that this process may make groups in. Version 1: below its own group, one hierarchy a controller.
 * Version 2: in the nearest group above it (its own holds processes, so it may have none with controllers below) that hands out
 * memory and pids. `procRoot` and mounts are read from /proc of this process.
 */
export function findHierarchies(read: (path: string) => string = (path) => readFileSync(path, "utf8"), writable = isWritable): Hierarchies {
  const found: Hierarchies = { memory: undefined, pids: undefined, cpu: undefined, unified: undefined, version: undefined };
  const mounts = cgroupMounts(read);
  for (const line of tryRead(read, "/proc/self/cgroup").split("\n")) {
    const [, number, names, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (number === undefined || names === undefined || path === undefined) continue;
    if (number === "0") {
      const mount = mounts.get("");
      if (mount !== undefined) findUnified(found, mount, path, read, writable);
      continue;
    }
    for (const name of names.split(",")) {
      const mount = mounts.get(name);
      if (mount === undefined || (name !== "memory" && name !== "pids" && name !== "cpu")) continue;
      const directory = path === "/" ? mount : join(mount, path);
      if (!writable(directory)) continue;
      found[name] = directory;
      found.version = 1;
    }
  }
  return found;
}

/** The groups that a process of this machine is in: parent directories, as above, and the name below them; undefined: not to be found out. */
export function groupOf(
  pid: number,
  read: (path: string) => string = (path) => readFileSync(path, "utf8"),
): { hierarchies: Hierarchies; name: string } | undefined {
  const hierarchies: Hierarchies = { memory: undefined, pids: undefined, cpu: undefined, unified: undefined, version: undefined };
  const mounts = cgroupMounts(read);
  let group: string | undefined;
  for (const line of tryRead(read, `/proc/${pid}/cgroup`).split("\n")) {
    const [, number, names, path] = /^(\d+):([^:]*):(\/.+)$/.exec(line) ?? [];
    if (number === undefined || names === undefined || path === undefined) continue;
    const mount = (name: string): string | undefined => {
      const point = mounts.get(name);
      return point === undefined ? undefined : join(point, path, "..");
    };
    if (number === "0") {
      hierarchies.unified = mount("");
      if (hierarchies.version === undefined) hierarchies.version = 2;
    } else {
      for (const name of names.split(",")) {
        if (name !== "memory" && name !== "pids" && name !== "cpu") continue;
        hierarchies[name] = mount(name);
        hierarchies.version = 1;
      }
    }
    group = basename(path);
  }
  if (group === undefined) return undefined;
  if (hierarchies.version === 2) hierarchies.memory = hierarchies.pids = hierarchies.cpu = hierarchies.unified;
  return { hierarchies, name: group };
}

function findUnified(
  found: Hierarchies,
  mount: string,
  path: string,
  read: (path: string) => string,
  writable: (path: string) => boolean,
): void {
  const own = path === "/" ? mount : join(mount, path);
  if (writable(own)) found.unified = own;
  for (let at = own; at.startsWith(mount); at = join(at, "..")) {
    const handed = tryRead(read, join(at, "cgroup.subtree_control")).split(/\s+/);
    if (handed.includes("memory") && handed.includes("pids") && writable(at)) {
      found.memory = found.pids = found.unified = at;
      if (handed.includes("cpu")) found.cpu = at;
      found.version = 2;
      return;
    }
    if (at === mount) return;
  }
}

/** Mount points by controller; "" is version 2. */
function cgroupMounts(read: (path: string) => string): Map<string, string> {
  const mounts = new Map<string, string>();
  for (const line of tryRead(read, "/proc/self/mounts").split("\n")) {
    const [, point, type, options] = line.split(" ");
    if (point === undefined || options === undefined) continue;
    if (type === "cgroup2") mounts.set("", point);
    if (type === "cgroup") for (const option of options.split(",")) mounts.set(option, point);
  }
  return mounts;
}

function tryRead(read: (path: string) => string, path: string): string {
  try {
    return read(path);
  } catch {
    return ""; // not there: no such hierarchy
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    accessSync(join(directory, "cgroup.procs"), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

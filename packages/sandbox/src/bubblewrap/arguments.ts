import { existsSync, lstatSync, readlinkSync } from "node:fs";

import { BUNDLE_FILE, WAY_OUT_MOUNT } from "../network/way-out.ts";
import { TOOLKIT_MOUNT } from "../toolkit.ts";
import { HOME, mountedSystemFiles } from "./system-files.ts";

/** A directory of the host and where it stands inside. */
export interface Mount {
  source: string;
  at: string;
}

export interface BubblewrapPlan {
  ids: { uid: number; gid: number };
  /** Prepared /etc. */
  systemFiles: string;
  toolkit: string;
  /** Directory of the way out; undefined: there is none. */
  wayOut: string | undefined;
  /** Mounted writable, parents first. */
  writable: Mount[];
  /** Mounted over those, in order. */
  guarded: Array<Mount & { mount: "pin" | "read" }>;
  /** Mounted read-only before what is writable. */
  toolchain: Mount[];
  /** Without the system's own programs. */
  pure: boolean;
  /** Where the init begins. */
  workspace: string;
  /** Where bubblewrap tells of what it has made; undefined: nowhere. */
  infoFd?: number;
  /** Bound on each private tmpfs. */
  tmpfsBytes: number;
  seccompFd: number;
  init: string[];
}

/** Arguments of `bwrap` for a sandbox: all namespaces, no capability, a read-only system, and the init as process 1. */
export function bubblewrapArguments(plan: BubblewrapPlan): string[] {
  const size = String(plan.tmpfsBytes);
  return [
    ["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--new-session", "--clearenv"],
    ["--as-pid-1", "--hostname", "guildhall", "--uid", String(plan.ids.uid), "--gid", String(plan.ids.gid)],
    plan.pure ? ["--symlink", `${TOOLKIT_MOUNT}/bin/bash`, "/bin/sh"] : systemArguments(),
    ["--ro-bind", plan.systemFiles, "/etc"],
    mountedSystemFiles().flatMap((name) => ["--ro-bind", `/etc/${name}`, `/etc/${name}`]),
    ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"],
    ["--perms", "1777", "--size", size, "--tmpfs", "/tmp", "--dir", "/var", "--symlink", "../tmp", "/var/tmp"],
    ["--perms", "0700", "--size", size, "--tmpfs", HOME],
    ["--ro-bind", plan.toolkit, TOOLKIT_MOUNT],
    plan.wayOut === undefined ? [] : wayOutArguments(plan.wayOut),
    plan.toolchain.flatMap(({ source, at }) => ["--ro-bind", source, at]),
    plan.writable.flatMap((one) => ["--bind", one.source, one.at]),
    plan.guarded.flatMap((one) => [one.mount === "pin" ? "--bind" : "--ro-bind", one.source, one.at]),
    plan.infoFd === undefined ? [] : ["--info-fd", String(plan.infoFd)],
    ["--remount-ro", "/", "--chdir", plan.workspace, "--seccomp", String(plan.seccompFd)],
    ["--", `${TOOLKIT_MOUNT}/init`, ...plan.init],
  ].flat();
}

/** Programs that look at no variable trust the system's authorities: the session's is among them. */
function wayOutArguments(wayOut: string): string[] {
  return ["--ro-bind", wayOut, WAY_OUT_MOUNT, ...(hasSystemBundle() ? ["--ro-bind", `${wayOut}/${BUNDLE_FILE}`, SYSTEM_BUNDLE] : [])];
}

/** Debian's; others have links there, which cannot be mounted over. */
export const SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

export function hasSystemBundle(): boolean {
  return lstatSync(SYSTEM_BUNDLE, { throwIfNoEntry: false })?.isFile() === true;
}

export const systemDirectories = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/** The system's programs, read-only: /usr, what points into it from the root, and Nix's store. */
export function systemArguments(): string[] {
  const args = ["--ro-bind", "/usr", "/usr"];
  for (const path of systemDirectories) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isSymbolicLink()) args.push("--symlink", readlinkSync(path), path);
    else if (found?.isDirectory()) args.push("--ro-bind", path, path);
  }
  if (existsSync("/nix/store")) args.push("--ro-bind", "/nix/store", "/nix/store");
  return args;
}

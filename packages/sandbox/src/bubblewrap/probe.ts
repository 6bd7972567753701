import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";

import { GuildError, type CapabilityReport } from "@guildhall/core";

import { cgroupCapabilities, WITHOUT_MEMORY } from "../cgroup/capabilities.ts";
import type { Hierarchies } from "../cgroup/hierarchies.ts";
import { DISK_COUNT } from "../default-limits.ts";
import { findToolkit, TOOLKIT_REMEDY } from "../toolkit.ts";

const run = promisify(execFile);

const places = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/run/current-system/sw/bin/bwrap"];
const INSTALL = "install it: apt-get install -y bubblewrap";

/** Path of bubblewrap; only from places that an agent cannot write. Throws `failed_precondition`. */
export function findBubblewrap(): string {
  const path = places.find((one) => existsSync(one));
  if (path === undefined) throw new GuildError("failed_precondition", "bubblewrap is not installed", { subject: "bwrap", remedy: INSTALL });
  return path;
}

type Capability = CapabilityReport["capabilities"][number];

/** What bubblewrap sandboxes need and have here. */
export async function probeBubblewrap(options: { toolkitDir: string | undefined; hierarchies: Hierarchies }): Promise<CapabilityReport> {
  const capabilities: Capability[] = [];
  const needed = (one: Capability): boolean => {
    capabilities.push(one);
    return one.available;
  };
  let usable = needed(toolkitCapability(options.toolkitDir));
  const version = await bubblewrapVersion();
  usable = needed(version) && usable;
  usable =
    needed(
      version.available
        ? await namespaces()
        : { name: "user-namespaces", available: false, detail: "not tried without bubblewrap", remedy: INSTALL },
    ) && usable;
  usable = needed(seccomp()) && usable;
  capabilities.push(
    ...cgroupCapabilities(options.hierarchies, {
      memory: WITHOUT_MEMORY,
      pids: "RLIMIT_NPROC in the sandbox's user namespace limits processes",
    }),
  );
  capabilities.push(DISK_COUNT);
  return { provider: "bubblewrap", usable, capabilities };
}

function toolkitCapability(directory: string | undefined): Capability {
  try {
    return { name: "toolkit", available: true, detail: findToolkit(directory).directory };
  } catch (error) {
    return { name: "toolkit", available: false, detail: GuildError.from(error).line, remedy: TOOLKIT_REMEDY };
  }
}

async function bubblewrapVersion(): Promise<Capability> {
  try {
    const { stdout } = await run(findBubblewrap(), ["--version"]);
    const version = stdout.trim();
    const [major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [];
    if (major > 0 || minor >= 8) return { name: "bubblewrap", available: true, detail: version };
    return { name: "bubblewrap", available: false, detail: `${version} is too old`, remedy: "install bubblewrap 0.8 or newer" };
  } catch (error) {
    return { name: "bubblewrap", available: false, detail: GuildError.from(error).message, remedy: INSTALL };
  }
}

/** Starts an empty sandbox as whoever we are, unprivileged. */
async function namespaces(): Promise<Capability> {
  const name = "user-namespaces";
  const args = [
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "/usr/bin/true",
  ];
  const unprivileged = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  try {
    await run(findBubblewrap(), args, unprivileged);
    return { name, available: true, detail: "an unprivileged process can make all namespaces" };
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() || GuildError.from(error).message;
    return { name, available: false, detail: said, remedy: namespaceRemedy() };
  }
}

function namespaceRemedy(): string {
  if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === "1") {
    return "AppArmor restricts user namespaces: add a profile that allows userns for bwrap, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
  }
  if (setting("/proc/sys/kernel/unprivileged_userns_clone") === "0") return "sysctl -w kernel.unprivileged_userns_clone=1";
  if (setting("/proc/sys/user/max_user_namespaces") === "0") return "sysctl -w user.max_user_namespaces=15000";
  return "let unprivileged users create user namespaces; in a container, ask for --security-opt seccomp=unconfined or a runtime that nests";
}

function seccomp(): Capability {
  const available = setting("/proc/sys/kernel/seccomp/actions_avail")?.includes("errno") === true;
  return available ? { name: "seccomp", available, detail: "the kernel filters system calls" } : NO_FILTER;
}

export const NO_FILTER: Capability = {
  name: "seccomp",
  available: false,
  detail: "this kernel cannot filter system calls",
  remedy: "use a kernel with CONFIG_SECCOMP_FILTER",
};

function setting(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined; // this kernel has no such setting
  }
}

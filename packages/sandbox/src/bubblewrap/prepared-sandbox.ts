import { closeSync, openSync } from "node:fs";

import { SandboxGroup } from "../cgroup/group.ts";
import type { Hierarchies } from "../cgroup/hierarchies.ts";
import { CONNECTION_FD } from "../init-process.ts";
import { type PreparedInit, prepareInit } from "../prepared-init.ts";
import type { Toolkit } from "../toolkit.ts";
import { bubblewrapArguments } from "./arguments.ts";
import { PREPARED } from "./places.ts";

/** What of a sandbox's limits is fixed before it has a workspace. */
export interface BakedLimits {
  memoryBytes: number;
  processes: number;
  cpus?: number;
  /** Without the system's own programs. */
  pure?: true;
}

/** A sandbox with everything but its workspace, toolchain and way out: namespaces, system, filter, cgroups, an init that waits. */
export interface PreparedSandbox {
  readonly init: PreparedInit;
  readonly group: SandboxGroup;
  /** Ends and frees all of it. */
  discard(): Promise<void>;
}

/** Size of each private tmpfs of a sandbox. */
export function tmpfsBytes({ memoryBytes }: BakedLimits): number {
  return Math.max(2 ** 20, Math.floor(memoryBytes / 2));
}

/** Throws `failed_precondition`. */
export async function prepareSandbox(with_: {
  id: string;
  toolkit: Toolkit;
  program: string;
  ids: { uid: number; gid: number };
  systemFiles: string;
  hierarchies: Hierarchies;
  limits: BakedLimits;
}): Promise<PreparedSandbox> {
  const { toolkit, ids, limits, systemFiles } = with_;
  const asRoot = process.geteuid?.() === 0;
  const seccomp = openSync(toolkit.seccomp, "r");
  let group: SandboxGroup | undefined;
  try {
    group = SandboxGroup.create(with_.hierarchies, with_.id, limits);
    const launch = asRoot ? ["--mounts", "--bind", systemFiles, "etc", "--bind", toolkit.directory, "toolkit"] : [];
    const init = await prepareInit(toolkit.launch, {
      extra: [seccomp],
      ownNamespace: !asRoot,
      args: [
        ...group.directories.flatMap((directory) => ["--cgroup", directory]),
        ...(asRoot ? [...launch, "--uid", String(ids.uid), "--gid", String(ids.gid)] : []),
        "--",
        with_.program,
        ...bubblewrapArguments({
          ids,
          systemFiles: asRoot ? `${PREPARED}/etc` : systemFiles,
          toolkit: asRoot ? `${PREPARED}/toolkit` : toolkit.directory,
          wayOut: undefined,
          writable: [],
          guarded: [],
          toolchain: [],
          pure: limits.pure === true,
          workspace: "/",
          infoFd: CONNECTION_FD + 2,
          tmpfsBytes: tmpfsBytes(limits),
          seccompFd: CONNECTION_FD + 1,
          init: ["--connection", String(CONNECTION_FD), "--await", "2"],
        }),
      ],
    });
    const own = group;
    return {
      init,
      group,
      discard: async () => {
        await init.discard();
        await own.remove();
      },
    };
  } catch (error) {
    await group?.remove();
    throw error;
  } finally {
    closeSync(seccomp);
  }
}

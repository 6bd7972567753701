import type { CapabilityReport } from "@guildhall/core";

import type { Hierarchies } from "./hierarchies.ts";

/** How the limit on memory is kept without a cgroup. */
export const WITHOUT_MEMORY = "the init adds up and kills, each process has RLIMIT_DATA";

/** What cgroups can do for a sandbox here, and what happens without them. */
export function cgroupCapabilities(hierarchies: Hierarchies, without: { memory: string; pids: string }): CapabilityReport["capabilities"] {
  const instead = { ...without, cpu: "a limit on `cpus` is refused" };
  return (["memory", "pids", "cpu"] as const).map((controller) => {
    const directory = hierarchies[controller];
    const name = `cgroup-${controller}`;
    if (directory !== undefined) return { name, available: true, detail: `version ${hierarchies.version}, ${directory}` };
    return {
      name,
      available: false,
      detail: `no cgroup is ours to write: ${instead[controller]}`,
      remedy: "run as root, or in a systemd unit with Delegate=yes",
    };
  });
}

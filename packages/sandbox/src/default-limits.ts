import { totalmem } from "node:os";

import type { CapabilityReport, SandboxLimits } from "@guildhall/core";

/** Bytes that every sandbox leaves of its workspace's file system, so that a full disk stops what filled it and nobody else. */
const DISK_RESERVE = 256 * 2 ** 20;

/** What an init is told of the limits that it keeps itself under every provider. */
export function diskOptions({ diskBytes = 0, diskFiles = 0 }: SandboxLimits): string[] {
  return ["--disk-bytes", String(diskBytes), "--disk-files", String(diskFiles), "--disk-reserve", String(DISK_RESERVE)];
}

/** How a limit on disk is kept, under every provider: needs nothing of the machine. */
export const DISK_COUNT: CapabilityReport["capabilities"][number] = {
  name: "disk-limit",
  available: true,
  detail:
    "no quota of the kernel's: the init counts what the sandbox writes, what its workspace holds and what its processes hold open, and ends what goes beyond",
};

/** Limits of a sandbox that asks for none: never “none” for memory and processes. */
export function withDefaults(limits: SandboxLimits = {}): SandboxLimits & { memoryBytes: number; processes: number; openFiles: number } {
  return {
    ...limits,
    memoryBytes: limits.memoryBytes ?? Math.min(4 * 2 ** 30, Math.floor(totalmem() / 2)),
    processes: limits.processes ?? 1024,
    openFiles: limits.openFiles ?? 65536,
  };
}

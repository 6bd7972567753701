import { totalmem } from "node:os";

import type { SandboxLimits } from "@guildhall/core";

/** Limits of a sandbox that asks for none: never “none” for memory and processes. */
export function withDefaults(limits: SandboxLimits = {}): SandboxLimits & { memoryBytes: number; processes: number; openFiles: number } {
  return {
    ...limits,
    memoryBytes: limits.memoryBytes ?? Math.min(4 * 2 ** 30, Math.floor(totalmem() / 2)),
    processes: limits.processes ?? 1024,
    openFiles: limits.openFiles ?? 65536,
  };
}

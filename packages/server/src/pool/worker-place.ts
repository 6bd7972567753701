import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * Where a worker is. `seat`: its name, the same when its process is started anew with the same data directory. `view`: equal for workers of one
 * machine that see the same files as the same user; empty where that cannot be told.
 */
export function workerPlace(dataDir: string): { seat: string; view: string } {
  const digest = (...parts: string[]): string => createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 32);
  const seat = digest(hostname(), dataDir);
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return { seat, view: digest(boot, readlinkSync("/proc/self/ns/mnt"), String(process.getuid?.())) };
  } catch {
    // No Linux.
    return { seat, view: "" };
  }
}

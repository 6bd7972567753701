import { statSync } from "node:fs";
import { join } from "node:path";

import { readIfSame } from "./configuration.ts";
import type { TrustStore } from "./trust-store.ts";

/**
 * Text of the project's files below `under` (a file or a directory, relative) that are, byte for byte, what a person has trusted; by path, in
 * order. What has changed since, or is new, is not among them.
 */
export function trustedFiles(trust: TrustStore, directory: string, under: string): Map<string, string> {
  const found = new Map<string, string>();
  // Most projects have none: nothing is read then.
  if (statSync(join(directory, under), { throwIfNoEntry: false }) === undefined) return found;
  for (const { path, digest, state } of trust.show(directory).files) {
    if (state !== "same" || (path !== under && !path.startsWith(`${under}/`))) continue;
    const content = readIfSame(directory, path, digest);
    if (content !== undefined) found.set(path, content.toString("utf8"));
  }
  return found;
}

/** Goes up when any of these files or directories may have changed; cheap enough to be asked at every step. */
export function stampOf(paths: readonly string[]): string {
  return paths
    .map((path) => {
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
      return stat === undefined ? "-" : `${stat.ino}.${stat.mtimeNs}.${stat.size}`;
    })
    .join(" ");
}

import { statSync } from "node:fs";

/** Version of Guildhall: in logs, in the first exchange, in exports. The same as in package.json (tested). */
export const VERSION = "0.1.0";

/**
 * Version and build of the daemon program at `entry`: `0.1.0+lq3k9x1c`. A client compares that of the program it would start with the one that runs,
 * so that an upgrade replaces an idle daemon even where the version number stayed.
 */
export function buildVersion(entry: URL): string {
  return `${VERSION}+${Math.trunc(statSync(entry).mtimeMs).toString(36)}`;
}

import { createHash } from "node:crypto";
import { basename } from "node:path";

/** The name of a project as knowledge knows it: of its directory, told apart by where that is, without saying where. */
export function projectName(workspace: string): string {
  return `${basename(workspace) || "root"}-${createHash("sha256").update(workspace).digest("hex").slice(0, 8)}`;
}

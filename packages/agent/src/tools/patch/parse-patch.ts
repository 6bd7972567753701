import { GuildError } from "@guildhall/core";

import type { FilePatch } from "./file-patch.ts";
import { parseUnified } from "./parse-unified.ts";
import { parseV4a } from "./parse-v4a.ts";

/**
 * Reads a patch in either format: `*** Begin Patch` (V4A) or a unified diff, git's extensions included. A code fence or text around it is passed over. Throws
 * `invalid_argument` that names the line.
 */
export function parsePatch(patch: string): FilePatch[] {
  // Carriage returns at line ends are the transport's: files keep their own.
  const lines = patch.replaceAll("\r\n", "\n").split("\n");
  const v4a = lines.findIndex((line) => /^\*\*\* (Begin Patch|(Add|Update|Delete) File: )/.test(line));
  const patches = v4a >= 0 ? parseV4a(lines, v4a) : parseUnified(lines);
  if (patches.length === 0) {
    throw new GuildError("invalid_argument", "there is no change in the patch", {
      remedy: "give a unified diff (--- a/FILE, +++ b/FILE, @@) or *** Begin Patch … *** End Patch",
    });
  }
  return patches;
}

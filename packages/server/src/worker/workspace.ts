import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";

import { GuildError } from "@guildhall/core";

/**
 * The directory that a session or tool may work in: its real path. Throws `invalid_argument`, `not_found` or `permission_denied` with what to
 * do. No git repository is needed.
 */
export function checkWorkspace(path: string): string {
  const refuse = (code: "invalid_argument" | "not_found" | "permission_denied", message: string, remedy: string): never => {
    throw new GuildError(code, message, { subject: path, remedy });
  };
  if (!isAbsolute(path)) refuse("invalid_argument", "the workspace is no absolute path", "give the full path");
  let real: string;
  try {
    real = realpathSync.native(path);
    if (!statSync(real).isDirectory())
      return refuse("invalid_argument", "the workspace is no directory", "name a directory with --workspace");
  } catch (error) {
    if (GuildError.is(error)) throw error;
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EACCES") return refuse("permission_denied", "the workspace cannot be entered", "check its owner and mode");
    return refuse("not_found", "there is no such workspace", "name an existing directory with --workspace");
  }
  if (tooWide.has(real))
    refuse("invalid_argument", "this directory is no workspace: an agent would work on the whole system", "name the project's directory");
  try {
    accessSync(real, constants.R_OK | constants.X_OK);
  } catch {
    // Whatever the reason: this process may not read there.
    refuse("permission_denied", "the workspace cannot be read", "check its owner and mode");
  }
  return real;
}

/** Directories of the system; a home directory is allowed, it may be a repository. */
const tooWide: ReadonlySet<string> = new Set([
  "/",
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/lib",
  "/proc",
  "/run",
  "/sbin",
  "/sys",
  "/usr",
  "/var",
  "/tmp",
  "/home",
]);

import { realpath, stat } from "node:fs/promises";
import { isAbsolute } from "node:path";

import { GuildError, type SandboxSpec, type SandboxToolchain } from "@guildhall/core";

/** Directories that are the system's own inside: a workspace there would hide it. */
const taken = [
  "/",
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/lib",
  "/lib32",
  "/lib64",
  "/libx32",
  "/proc",
  "/run",
  "/sbin",
  "/sys",
  "/usr",
  "/var",
];

/** The workspace with every link resolved. Throws `invalid_argument`, `not_found`, `failed_precondition`. */
export async function checkedWorkspace(spec: SandboxSpec): Promise<{ path: string; uid: number; gid: number }> {
  const { workspace } = spec;
  if (!isAbsolute(workspace) || workspace.includes("\0")) {
    throw new GuildError("invalid_argument", "a workspace must be an absolute path", { subject: workspace });
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/.test(spec.id)) {
    throw new GuildError("invalid_argument", `a sandbox id must be letters, digits, dots and dashes: ${spec.id}`);
  }
  try {
    const path = await realpath(workspace);
    const found = await stat(path);
    if (!found.isDirectory())
      throw new GuildError("failed_precondition", `the workspace ${workspace} is not a directory`, { subject: workspace });
    if (taken.includes(path) || path.startsWith("/proc/") || path.startsWith("/sys/") || path.startsWith("/dev/")) {
      throw new GuildError("invalid_argument", `${path} belongs to the system and cannot be a workspace`, {
        subject: path,
        remedy: "choose the directory of one project",
      });
    }
    return { path, uid: found.uid, gid: found.gid };
  } catch (error) {
    if (GuildError.is(error)) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    throw new GuildError(code === "EACCES" ? "permission_denied" : "not_found", `cannot open the workspace ${workspace}: ${code}`, {
      subject: workspace,
      cause: error,
    });
  }
}

/** Throws `unsupported` for a workspace whose files are elsewhere: for providers that can put nothing in another's place. */
export function refuseSource(spec: SandboxSpec, provider: string): void {
  if (spec.source === undefined) return;
  throw new GuildError("unsupported", `${provider} cannot work on a copy for review`, {
    subject: spec.workspace,
    remedy: "use the bubblewrap provider, or apply results directly",
  });
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Providers that show the machine's system have no other one, and nothing beside it. Throws `unsupported`. */
export function refuseImage(toolchain: SandboxToolchain | undefined): void {
  refuseServices(toolchain);
  if (toolchain?.image === undefined) return;
  throw new GuildError("unsupported", "this sandbox has no images", { subject: toolchain.image, remedy: "use --sandbox docker" });
}

/** Providers that start nothing beside a sandbox. Throws `unsupported`. */
export function refuseServices(toolchain: SandboxToolchain | undefined): void {
  const [service] = [...(toolchain?.services ?? []), ...(toolchain?.volumes ?? [])];
  if (service === undefined) return;
  throw new GuildError("unsupported", "this sandbox has no services beside it", { subject: service.name, remedy: "use --sandbox docker" });
}

/** Where programs are looked for: the toolchain's directories, the system's unless it is pure, the toolkit's. */
export function searchPath(toolchain: SandboxToolchain | undefined, toolkit: string, system = SYSTEM_PATH): string {
  return [...(toolchain?.path ?? []), ...(toolchain?.pure === true ? [] : [system]), toolkit].join(":");
}

import { GuildError } from "@guildhall/core";

/** A claim that this worker and its sandboxes both have mounted. */
export interface SharedVolume {
  claim: string;
  /** Where this worker has it. */
  mountedAt: string;
}

/** Reads `CLAIM:/where/this/worker/has/it`. Throws `invalid_argument`. */
export function sharedVolume(text: string): SharedVolume {
  const [, claim, mountedAt] = /^([a-z0-9][a-z0-9.-]*):(\/.*?)\/?$/.exec(text) ?? [];
  if (claim === undefined || mountedAt === undefined) {
    throw new GuildError("invalid_argument", `sandbox.kubernetes_volume is not CLAIM:/path: ${text === "" ? "it is empty" : text}`, {
      subject: "sandbox.kubernetes_volume",
      remedy: "name the volume claim of this worker's workspaces and where it is mounted: guild-workspaces:/workspaces",
    });
  }
  return { claim, mountedAt };
}

/** Where on the claim a path of this worker lies. Throws `unsupported` for one that is not on it: no pod could have it. */
export function onVolume({ claim, mountedAt }: SharedVolume, path: string): string {
  if (path === mountedAt) return "";
  if (path.startsWith(`${mountedAt}/`)) return path.slice(mountedAt.length + 1);
  throw new GuildError("unsupported", `${path} is not on the volume ${claim}, so that no pod can have it`, {
    subject: path,
    remedy: `keep workspaces below ${mountedAt} (workers.workspaces), or use --sandbox bubblewrap`,
  });
}

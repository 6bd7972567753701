import { GuildError, type ProjectFiles, type SandboxService, type SandboxVolume } from "@guildhall/core";

import type { Data } from "../project/read-data.ts";
import { resolved, TRUSTED, trustedText } from "./devcontainer-build.ts";
import { filesBelow } from "./devcontainer-features.ts";

/** What of a service's volumes it can have, and a line on each that it cannot. */
export interface ComposeVolumes {
  volumes: SandboxVolume[];
  temporary: string[];
  files: Array<NonNullable<SandboxService["files"]>[number]>;
  refused: string[];
}

interface Asked {
  kind: string;
  source: string;
  at: string;
  readOnly: boolean;
}

export interface VolumesWhere {
  /** Of the service. */
  name: string;
  /** It is the sandbox itself. */
  own: boolean;
  /** The Compose project's `volumes`, and its directory. */
  declared: Data;
  place: string;
  /** Text of a value, its variables filled in. */
  text(data: Data): string;
  files: ProjectFiles;
}

/** Nothing is put over these of a service, and of a sandbox. */
const KEPT = /^\/(?:$|(?:proc|sys|dev|run\/guildhall[\w-]*)(?:\/|$)|etc\/hosts$)/;
const KEPT_OWN = /^\/(?:$|(?:proc|sys|dev|etc|tmp|home\/agent|run\/guildhall[\w-]*)(?:\/|$))/;
const NAME = /^[A-Za-z0-9][\w.-]{0,60}$/;

/**
 * Volumes of one service. A named one is shared with the others that name it and gone with the sandbox; one without a name, and `tmpfs`, are the
 * service's own; of the project only what lies in `.devcontainer` is given, to services, as a copy that they begin with.
 */
export async function volumesOf(service: Data, { name, own, declared, place, text, files }: VolumesWhere): Promise<ComposeVolumes> {
  const found: ComposeVolumes = { volumes: [], temporary: [], files: [], refused: [] };
  const refuse = (what: string, why: string): void => void found.refused.push(`the service ${name} does not get ${what}: ${why}`);
  const temporary = service.at("tmpfs").text === undefined ? service.at("tmpfs").items : [service.at("tmpfs")];
  const asked = [...temporary.map((one) => asTemporary(text(one))), ...service.at("volumes").items.map((one) => askedOf(one, text))];
  for (const { kind, source, at, readOnly } of asked) {
    const what = source === "" ? at : `${source} at ${at}`;
    const outside = declared.at(source);
    if (!at.startsWith("/") || (own ? KEPT_OWN : KEPT).test(at) || at.includes("..")) refuse(what, "nothing can be put there");
    else if (kind === "tmpfs") found.temporary.push(at);
    else if (kind === "volume" && source === "") found.volumes.push({ name: `${name}${at.replaceAll("/", ".")}`.slice(0, 60), at });
    else if (kind === "volume" && !NAME.test(source)) refuse(what, "that is no name of a volume");
    else if (kind === "volume" && (outside.at("external").value === true || outside.at("driver_opts").present))
      refuse(what, "it lies outside of the project");
    else if (kind === "volume") found.volumes.push({ name: source, at, ...(readOnly ? { readOnly } : {}) });
    else if (kind !== "bind") refuse(what, `there are no volumes of the kind ${kind.slice(0, 20)}`);
    else if (/^[/~]/.test(source)) refuse(what, "it lies outside of the project");
    else {
      try {
        const path = resolved(place, source);
        if (path === "") refuse(what, own ? "the project stands at its own path inside" : "it would be the whole project");
        else if (own) refuse(what, "files are given to services alone");
        else found.files.push(...(await copied(path, at, files)));
      } catch (error) {
        refuse(what, GuildError.from(error).line);
      }
    }
  }
  return found;
}

/** A file, or all that lie in a directory, as they are now. */
async function copied(path: string, at: string, files: ProjectFiles): Promise<ComposeVolumes["files"]> {
  const inside = path === TRUSTED || path.startsWith(`${TRUSTED}/`);
  const below = inside ? await filesBelow(files, path) : [];
  const all = below.length > 0 ? below : [{ path: "", text: await trustedText(files, path) }];
  return all.map((one) => ({
    at: one.path === "" ? at : `${at.replace(/\/$/, "")}/${one.path}`,
    text: one.text,
    mode: (one.path === "" ? path : one.path).endsWith(".sh") || one.text.startsWith("#!") ? 0o755 : 0o644,
  }));
}

function asTemporary(line: string): Asked {
  return { kind: "tmpfs", source: "", at: line.split(":")[0] ?? "", readOnly: false };
}

/** The short form, `[SOURCE:]TARGET[:MODE]`, or the long one. */
function askedOf(one: Data, text: (data: Data) => string): Asked {
  if (one.text === undefined) {
    const [kind, source, at] = ["type", "source", "target"].map((key) => text(one.at(key)));
    return { kind: kind || "volume", source: source ?? "", at: at ?? "", readOnly: one.at("read_only").value === true };
  }
  const [first = "", second, mode = ""] = text(one).split(":");
  if (second === undefined) return { kind: "volume", source: "", at: first, readOnly: false };
  return { kind: /^[./~]/.test(first) ? "bind" : "volume", source: first, at: second, readOnly: mode.split(",").includes("ro") };
}

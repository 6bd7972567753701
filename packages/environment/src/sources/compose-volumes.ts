import { posix } from "node:path";

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
  /** Where the project is to stand inside, as devcontainer.json has it. */
  workspaceFolder: string | undefined;
  files: ProjectFiles;
}

/** Nothing is put over these of a service, and of a sandbox. */
const KEPT = /^\/(?:$|(?:proc|sys|dev|run\/guildhall[\w-]*)(?:\/|$)|etc\/hosts$)/;
export const KEPT_OWN = /^\/(?:$|(?:proc|sys|dev|etc|tmp|home\/agent|run\/guildhall[\w-]*)(?:\/|$))/;
/** Of the project: what decides what runs, here or on the host. */
export const KEPT_PROJECT = /^\.(?:git|devcontainer|guildhall)(?:\/|$)/;
const NAME = /^[A-Za-z0-9][\w.-]{0,60}$/;

/**
 * Volumes of one service. A named one is shared with the others that name it and gone with the sandbox; one without a name, and `tmpfs`, are the
 * service's own; of the project only what lies in `.devcontainer` is given, to services, as a copy that they begin with.
 */
export async function volumesOf(
  service: Data,
  { name, own, declared, place, workspaceFolder, files }: VolumesWhere,
): Promise<ComposeVolumes> {
  const found: ComposeVolumes = { volumes: [], temporary: [], files: [], refused: [] };
  const refuse = (what: string, why: string): void => void found.refused.push(`the service ${name} does not get ${what}: ${why}`);
  const temporary = service.at("tmpfs").text === undefined ? service.at("tmpfs").items : [service.at("tmpfs")];
  const asked = [...temporary.map((one) => asTemporary(one.text ?? "")), ...service.at("volumes").items.map(askedOf)];
  const projects = own ? projectsOf(asked, place, workspaceFolder) : [];
  for (const { kind, source, at: given, readOnly } of asked) {
    const what = source === "" ? given : `${source} at ${given}`;
    const at = (kind === "volume" ? placeBelow(given, projects) : undefined) ?? given;
    const outside = declared.at(source);
    if (!given.startsWith("/") || (own ? KEPT_OWN : KEPT).test(at) || at.includes("..")) refuse(what, "nothing can be put there");
    else if (kind === "volume" && projects.includes(given.replace(/\/+$/, ""))) refuse(what, "the project stands there");
    else if (!at.startsWith("/") && KEPT_PROJECT.test(at)) refuse(what, "what is trusted or guarded stands there");
    else if (kind === "tmpfs") found.temporary.push(at);
    else if (kind === "volume" && source === "") found.volumes.push({ name: `${name}${given.replaceAll("/", ".")}`.slice(0, 60), at });
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

/** Where the project is to stand in the service; it stands at its own path instead, and what is below it goes with it. */
function projectsOf(asked: readonly Asked[], place: string, folder: string | undefined): string[] {
  const bound = asked.filter(({ kind, source }) => {
    if (kind !== "bind" || /^[/~]/.test(source)) return false;
    const depth = place === "" ? 0 : place.split("/").length;
    return posix.normalize(`${source}/`) === (depth === 0 ? "./" : "../".repeat(depth));
  });
  return [...bound.map(({ at }) => at), ...(folder === undefined || !/^\/[^$]+$/.test(folder) ? [] : [folder])].map((at) =>
    at.replace(/\/+$/, ""),
  );
}

/** Relative to the project; undefined: it is not below it. */
export function placeBelow(at: string, projects: readonly string[]): string | undefined {
  const project = projects.find((one) => one !== "" && at.startsWith(`${one}/`));
  const below = project === undefined ? "" : at.slice(project.length + 1).replaceAll(/^\/+|\/+$/g, "");
  return below === "" ? undefined : below;
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
function askedOf(one: Data): Asked {
  if (one.text === undefined) {
    const [kind, source, at] = ["type", "source", "target"].map((key) => one.at(key).text ?? "");
    return { kind: kind || "volume", source: source ?? "", at: at ?? "", readOnly: one.at("read_only").value === true };
  }
  const [first = "", second, mode = ""] = one.text.split(":");
  if (second === undefined) return { kind: "volume", source: "", at: first, readOnly: false };
  return { kind: /^[./~]/.test(first) ? "bind" : "volume", source: first, at: second, readOnly: mode.split(",").includes("ro") };
}

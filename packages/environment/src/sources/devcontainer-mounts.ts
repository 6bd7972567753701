import type { SandboxVolume } from "@guildhall/core";

import type { Data } from "../project/read-data.ts";
import { KEPT_OWN, KEPT_PROJECT, placeBelow } from "./compose-volumes.ts";

/**
 * Volumes among the `mounts` of a devcontainer.json; a place below the project, by whatever variable it names that, is relative to it. All others are
 * told, one line each: directories of the machine are never given.
 */
export function mountedVolumes(data: Data, file: string): { volumes: SandboxVolume[]; refused: string[] } {
  const projects = ["${containerWorkspaceFolder}", "${localWorkspaceFolder}", "/workspaces/${localWorkspaceFolderBasename}"];
  const folder = data.at("workspaceFolder").text;
  if (folder !== undefined) projects.push(folder);
  const volumes: SandboxVolume[] = [];
  const refused: string[] = [];
  for (const [index, mount] of data.at("mounts").items.entries()) {
    const { type, source = "", target = "", readOnly } = mountOf(mount);
    const at = placeBelow(target, projects) ?? target;
    const why =
      type !== "volume"
        ? "only volumes are given"
        : at.includes("..") ||
            at.includes("$") ||
            (at.startsWith("/") ? KEPT_OWN.test(at) || projects.includes(at) : at === "" || KEPT_PROJECT.test(at))
          ? "nothing can be put there"
          : undefined;
    const name =
      source
        .replaceAll(/\$\{[^}]*\}/g, "")
        .replaceAll(/^[\W_]+|[^\w.-]/g, "")
        .slice(0, 60) || `mount${index}`;
    if (why === undefined) volumes.push({ name, at, ...(readOnly ? { readOnly } : {}) });
    else refused.push(`the mount ${source === "" ? target : `${source} at ${target}`} of ${file} is not taken: ${why}`.slice(0, 240));
  }
  return { volumes, refused };
}

/** `source=…,target=…,type=…` or a table of these. */
function mountOf(mount: Data): { type: string; source?: string; target?: string; readOnly: boolean } {
  const pairs = (mount.text ?? "")
    .split(",")
    .map((pair) => [pair.split("=")[0]?.trim() ?? "", pair.slice(pair.indexOf("=") + 1).trim()] as const);
  const given: Record<string, string> = mount.text === undefined ? mount.texts : Object.fromEntries(pairs);
  const source = given["source"] ?? given["src"];
  const target = given["target"] ?? given["destination"] ?? given["dst"];
  const type = given["type"] ?? (mount.text === undefined ? "bind" : "volume");
  const flag = given["readonly"] ?? given["ro"];
  return {
    type,
    ...(source === undefined ? {} : { source }),
    ...(target === undefined ? {} : { target }),
    readOnly: flag !== undefined && flag !== "false",
  };
}

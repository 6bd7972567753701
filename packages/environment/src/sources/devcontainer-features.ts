import { GuildError, type ProjectFiles } from "@guildhall/core";

import { Data, withoutComments } from "../project/read-data.ts";
import type { FeatureFiles, FeatureRegistry } from "./oci-features.ts";

export interface BuildFiles {
  dockerfile: string;
  files: Array<{ path: string; text: string; mode: number }>;
  args?: Readonly<Record<string, string>>;
  /** Stage to stop at. */
  target?: string;
}

/** A feature that is asked for, and with what. */
export interface WantedFeature {
  id: string;
  options: Readonly<Record<string, string>>;
}

const MOST_FILES = 200;
const PLACE = "/tmp/guildhall-features";

/**
 * What an image with a devcontainer's own features is built from: those that lie in the project beside its file (`./name`), in the order in
 * which they are listed, and those of the registries that may be asked. What is neither is returned as `left`. Throws `invalid_argument` for one without
 * `install.sh`.
 */
export async function featureBuild(
  { file, features }: { file: string; features: readonly WantedFeature[] },
  base: string,
  files: ProjectFiles,
  registry: FeatureRegistry | undefined,
): Promise<{ build: BuildFiles | undefined; left: string[] }> {
  const beside = file.includes("/") ? file.slice(0, file.lastIndexOf("/") + 1) : "";
  const own: Array<{ id: string; options: Readonly<Record<string, string>>; found: FeatureFiles }> = [];
  const left: string[] = [];
  for (const { id, options } of features) {
    const local = /^\.\/[\w./-]+$/.test(id) && !id.includes("..");
    const found = local ? await filesBelow(files, `${beside}${id.slice(2)}`.replace(/\/$/, "")) : await registry?.files(id);
    if (found === undefined) left.push(id);
    else own.push({ id, options, found });
  }
  if (own.length === 0) return { build: undefined, left };
  const lines = [`FROM ${base}`];
  const copied: BuildFiles["files"] = [];
  for (const [index, { id, options, found }] of own.entries()) {
    if (!found.some(({ path }) => path === "install.sh")) {
      throw new GuildError("invalid_argument", `the feature ${id} has no install.sh`);
    }
    const about = new Data(JSON.parse(withoutComments(found.find(({ path }) => path === "devcontainer-feature.json")?.text ?? "{}")));
    const defaults = about.at("options").entries.flatMap(([name, option]) => {
      const { value } = option.at("default");
      return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? [[name, String(value)] as const] : [];
    });
    const given = Object.entries({ ...Object.fromEntries(defaults), ...options, _REMOTE_USER: "root", _CONTAINER_USER: "root" });
    const variables = given.map(([name, value]) => `${name.replaceAll(/\W/g, "_").toUpperCase()}=${quoted(value)}`);
    for (const { path, text } of found) {
      copied.push({ path: `f${index}/${path}`, text, mode: path.endsWith(".sh") ? 0o755 : 0o644 });
    }
    lines.push(`COPY f${index}/ ${PLACE}/${index}/`, `RUN cd ${PLACE}/${index} && ${variables.join(" ")} ./install.sh`);
    for (const [name, value] of Object.entries(about.at("containerEnv").texts)) {
      if (/^[A-Za-z_]\w*$/.test(name)) lines.push(`ENV ${name}=${JSON.stringify(value)}`);
    }
  }
  return { build: { dockerfile: `${lines.join("\n")}\n`, files: copied }, left };
}

/** A word for a shell, on one line. */
function quoted(value: string): string {
  return `'${value.replaceAll(/[\r\n]+/g, " ").replaceAll("'", String.raw`'\''`)}'`;
}

/** Every text below a directory; throws `invalid_argument` for more than can be sent. */
export async function filesBelow(files: ProjectFiles, directory: string): Promise<Array<{ path: string; text: string }>> {
  const found: Array<{ path: string; text: string }> = [];
  const waiting = [""];
  for (const at of waiting) {
    for (const { name, kind } of await files.list(at === "" ? directory : `${directory}/${at}`)) {
      const path = at === "" ? name : `${at}/${name}`;
      if (kind === "directory") waiting.push(path);
      if (kind !== "file") continue;
      const text = await files.read(`${directory}/${path}`);
      if (text !== undefined) found.push({ path, text });
      if (found.length > MOST_FILES || path.length > 80) {
        throw new GuildError("invalid_argument", "it has too many files, or names that are too long", { subject: directory });
      }
    }
  }
  return found;
}

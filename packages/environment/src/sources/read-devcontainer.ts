import { GuildError, type ProjectFiles, type SandboxVolume, type SetupCommand } from "@guildhall/core";

import { Data, withoutComments } from "../project/read-data.ts";
import { type BesideService, composeService } from "./compose-file.ts";
import { buildOf, type DevcontainerBuild } from "./devcontainer-build.ts";
import type { WantedFeature } from "./devcontainer-features.ts";
import { mountedVolumes } from "./devcontainer-mounts.ts";

export const DEVCONTAINER_FILES = [".devcontainer/devcontainer.json", ".devcontainer.json"] as const;

/** What a devcontainer.json asks for, as far as it is understood. */
export interface Devcontainer {
  file: string;
  image: string;
  /** What the image is built from; undefined: it is `image`. */
  build: DevcontainerBuild | undefined;
  /** `linux/arm64`, where it names one. */
  platform: string | undefined;
  features: readonly WantedFeature[];
  /** Services of its Compose files that run beside it, and what it has together with them. */
  beside: readonly BesideService[];
  volumes: readonly SandboxVolume[];
  /** In the order in which they run. */
  lifecycle: SetupCommand[];
  /** Not yet substituted. */
  variables: Record<string, string>;
  /** What it asks for and cannot have: one line each. */
  refused: string[];
}

/** In the specification's order; `initializeCommand` would run outside the container, and never does. */
const LIFECYCLE = ["onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand", "postAttachCommand"];
const WIDER = ["privileged", "capAdd", "securityOpt", "workspaceMount"];

/** Reads the specification's file; throws `invalid_argument` for what is wrong in it, `not_found`. Runs nothing. */
export async function readDevcontainer(files: ProjectFiles): Promise<Devcontainer> {
  for (const file of DEVCONTAINER_FILES) {
    const text = await files.read(file);
    if (text === undefined) continue;
    let data: Data;
    try {
      data = new Data(JSON.parse(withoutComments(text)));
    } catch (error) {
      throw new GuildError("invalid_argument", `${file} is no JSON: ${error instanceof Error ? error.message : ""}`, { cause: error });
    }
    const service = await composeService(data, file, files);
    const image = data.at("image").text ?? service?.image ?? "";
    const build = buildOf(data, file) ?? service?.build;
    if (image === "" && build === undefined)
      throw new GuildError("invalid_argument", `${file} names neither an image nor how to build one`);
    const given = { ...service?.variables, ...data.at("containerEnv").texts, ...data.at("remoteEnv").texts };
    const asked = data.at("runArgs").items.map((item) => item.text ?? "");
    const user = data.at("remoteUser").text ?? data.at("containerUser").text;
    const mounted = mountedVolumes(data, file);
    const wider = WIDER.filter((name) => data.at(name).present);
    const other = asked.filter((argument) => !argument.startsWith("--platform"));
    return {
      file,
      image,
      build,
      platform: /--platform[= ](\S+)/.exec(asked.join(" "))?.[1],
      features: data.at("features").entries.map(([id, options]) => ({ id, options: optionsOf(options) })),
      beside: service?.beside ?? [],
      volumes: [...(service?.volumes ?? []), ...mounted.volumes],
      lifecycle: LIFECYCLE.flatMap((name) => commandsOf(name, data.at(name))),
      variables: Object.fromEntries(Object.entries(given).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name))),
      refused: [
        ...(service?.refused ?? []),
        ...mounted.refused,
        ...(data.at("initializeCommand").present
          ? ["initializeCommand would run on this machine, outside of the sandbox: it is not run; do so by hand where it is needed"]
          : []),
        ...(wider.length + other.length === 0
          ? []
          : [`not taken of ${file}: ${[...wider, ...(other.length === 0 ? [] : ["runArgs"])].join(", ")}`]),
        ...(user === undefined ? [] : [`${file} asks for the user ${user.slice(0, 40)}: commands run as the sandbox's own`]),
      ],
    };
  }
  throw new GuildError("not_found", "there is no devcontainer.json");
}

function optionsOf(options: Data): Record<string, string> {
  if (options.text !== undefined) return { version: options.text };
  return Object.fromEntries(
    options.entries.flatMap(([name, { value }]) => (["string", "number", "boolean"].includes(typeof value) ? [[name, String(value)]] : [])),
  );
}

/** A line for a shell, a list of words, or several of either by name. */
function commandsOf(name: string, command: Data): SetupCommand[] {
  if (command.text !== undefined) return [{ name, argv: ["/bin/sh", "-c", command.text] }];
  const [program, ...args] = command.items.flatMap((item) => item.text ?? []);
  if (program !== undefined) return [{ name, argv: [program, ...args] }];
  return command.entries.flatMap(([part, one]) => commandsOf(`${name} ${part}`, one));
}

/** Variables of the specification that mean something here; of those of the person's own machine, their defaults. */
export function substituted(value: string, workspace: string, image: Readonly<Record<string, string>>): string {
  return value
    .replaceAll(/\$\{(?:local|container)WorkspaceFolder\}/g, () => workspace)
    .replaceAll(/\$\{(?:local|container)WorkspaceFolderBasename\}/g, () => workspace.slice(workspace.lastIndexOf("/") + 1))
    .replaceAll(/\$\{containerEnv:(\w+)(?::([^}]*))?\}/g, (_, name: string, other: string = "") => image[name] ?? other)
    .replaceAll(/\$\{localEnv:\w+(?::([^}]*))?\}/g, (_, other: string = "") => other);
}

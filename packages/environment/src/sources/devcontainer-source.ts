import { type EnvironmentSource, GuildError, type ProjectFiles } from "@guildhall/core";

import { Data, withoutComments } from "../project/read-data.ts";

export interface DevcontainerOptions {
  /** Sandbox provider that the environment is for, and the image that it makes its sandboxes from; empty: none. */
  sandbox: { provider: string; image: string };
}

const FILES = [".devcontainer/devcontainer.json", ".devcontainer.json"] as const;

/** What a devcontainer.json asks for, as far as it is understood. */
interface Wanted {
  file: string;
  image: string;
  /** It is built from a Dockerfile or a Compose project. */
  built: boolean;
  features: string[];
  /** `postCreateCommand: npm ci`, … in the order in which they run. */
  lifecycle: string[];
  variables: Record<string, string>;
}

/**
 * devcontainer.json through the `docker` provider: its image is the sandbox's, its variables are the environment's. Features are not built into the image and lifecycle
 * commands are not run: both are told as differences, with what would have run.
 */
export function devcontainerSource(options: DevcontainerOptions): EnvironmentSource {
  return {
    kind: "devcontainer",
    async claims({ files }) {
      for (const file of FILES) if ((await files.read(file)) !== undefined) return file;
      return undefined;
    },
    async resolve({ files, workspace, trusted }) {
      const wanted = await readWanted(files, workspace);
      if (!trusted) {
        throw new GuildError("failed_precondition", `${wanted.file} is not trusted`, {
          remedy: `read it, then: guild trust add ${workspace}`,
        });
      }
      if (wanted.built) {
        throw new GuildError("unsupported", `${wanted.file} builds its own image`, {
          remedy: "build it, and name it with the setting sandbox.docker_image",
        });
      }
      const { provider, image } = options.sandbox;
      if (provider !== "docker" || image !== wanted.image) {
        throw new GuildError("failed_precondition", `${wanted.file} asks for the image ${wanted.image}`, {
          remedy: `set sandbox.docker_image to it, and use --sandbox docker`,
        });
      }
      const differences = [
        ...(wanted.features.length === 0 ? [] : [`features are not added to the image: ${wanted.features.join(", ")}`]),
        ...(wanted.lifecycle.length === 0 ? [] : [`lifecycle commands are not run by themselves: ${wanted.lifecycle.join("; ")}`]),
      ];
      return {
        kind: "devcontainer",
        source: wanted.file,
        variables: wanted.variables,
        path: [],
        pure: false,
        mounts: [],
        shellHook: "",
        differences,
      };
    },
  };
}

async function readWanted(files: ProjectFiles, workspace: string): Promise<Wanted> {
  for (const file of FILES) {
    const text = await files.read(file);
    if (text === undefined) continue;
    let data: Data;
    try {
      data = new Data(JSON.parse(withoutComments(text)));
    } catch (error) {
      throw new GuildError("invalid_argument", `${file} is no JSON: ${error instanceof Error ? error.message : ""}`, { cause: error });
    }
    const image = data.at("image").text ?? "";
    const built = data.at("build").present || data.at("dockerFile").present || data.at("dockerComposeFile").present;
    if (image === "" && !built) throw new GuildError("invalid_argument", `${file} names neither an image nor how to build one`);
    const given = { ...data.at("containerEnv").texts, ...data.at("remoteEnv").texts };
    const entries = Object.entries(given).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && name !== "PATH");
    const variables = Object.fromEntries(entries.map(([name, value]) => [name, substituted(value, workspace)]));
    return { file, image, built, features: data.at("features").keys, lifecycle: lifecycleOf(data), variables };
  }
  throw new GuildError("not_found", "there is no devcontainer.json", { subject: workspace });
}

const LIFECYCLE = ["onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand", "postAttachCommand"];

function lifecycleOf(data: Data): string[] {
  return LIFECYCLE.flatMap((name) => {
    const command = data.at(name);
    const words = command.items.map((item) => item.text ?? "").join(" ");
    const text = command.text ?? (words === "" ? Object.values(command.texts).join(" & ") : words);
    return text === "" ? [] : [`${name}: ${text.replaceAll(/\s+/g, " ").slice(0, 120)}`];
  });
}

/** Variables of the specification that mean something here; others stay as they are. */
function substituted(value: string, workspace: string): string {
  return value
    .replaceAll(/\$\{(?:local|container)WorkspaceFolder\}/g, () => workspace)
    .replaceAll(/\$\{(?:local|container)WorkspaceFolderBasename\}/g, () => workspace.slice(workspace.lastIndexOf("/") + 1));
}

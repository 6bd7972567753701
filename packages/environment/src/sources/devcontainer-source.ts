import { type EnvironmentSource, GuildError } from "@guildhall/core";

import { type BuildFiles, featureBuild } from "./devcontainer-features.ts";
import { DEVCONTAINER_FILES, readDevcontainer, substituted } from "./read-devcontainer.ts";

/** Images as a sandbox provider has them. */
export interface SandboxImages {
  /** Undefined: it is not there. Nothing is fetched. */
  facts(name: string): Promise<{ id: string; platform: string; env: Readonly<Record<string, string>> } | undefined>;
  /** Builds one without a network, or takes the one that was built from the same before; resolves to its name. */
  build(from: BuildFiles): Promise<string>;
}

export interface DevcontainerOptions {
  /** Undefined: sandboxes have no images. */
  images: SandboxImages | undefined;
  /** `linux/amd64`: what images are to be for. */
  platform: string;
}

/**
 * devcontainer.json through a sandbox provider with images (`docker`): its image, with the features that lie in the project built in, is the
 * sandbox's system; its variables are the environment's; its lifecycle commands run inside, each time a sandbox begins. What needs a registry, and what would
 * widen the sandbox, is told as a difference.
 */
export function devcontainerSource({ images, platform }: DevcontainerOptions): EnvironmentSource {
  return {
    kind: "devcontainer",
    async claims({ files }) {
      for (const file of DEVCONTAINER_FILES) if ((await files.read(file)) !== undefined) return file;
      return undefined;
    },
    async resolve({ files, workspace, trusted, progress }) {
      const wanted = await readDevcontainer(files);
      const { file, image } = wanted;
      if (!trusted) {
        throw new GuildError("failed_precondition", `${file} is not trusted`, { remedy: `read it, then: guild trust add ${workspace}` });
      }
      if (wanted.built) {
        throw new GuildError("unsupported", `${file} builds its own image`, { remedy: "build it, and name it there as image" });
      }
      if (images === undefined) {
        throw new GuildError("failed_precondition", `${file} asks for the image ${image}`, { remedy: "use --sandbox docker" });
      }
      const base = await images.facts(image);
      if (base === undefined) {
        throw new GuildError("not_found", `the Docker engine has no image ${image}`, { remedy: `docker pull ${image}` });
      }
      const other = [wanted.platform, base.platform].find((one) => one !== undefined && one !== platform);
      if (other !== undefined) {
        throw new GuildError("unsupported", `${file} is for ${other}, and this machine is ${platform}`, {
          remedy: `name an image for ${platform}`,
        });
      }
      const { build, left } = await featureBuild(wanted, base.id, files);
      if (build !== undefined)
        progress(`building ${image} with ${build.files.filter(({ path }) => path.endsWith("/install.sh")).length} features`);
      const name = build === undefined ? base.id : await images.build(build);
      const env = build === undefined ? base.env : ((await images.facts(name))?.env ?? base.env);
      const { PATH, ...rest } = Object.fromEntries(
        Object.entries(wanted.variables).map(([variable, value]) => [variable, substituted(value, workspace, env)]),
      );
      const own = (env["PATH"] ?? "").split(":");
      return {
        kind: "devcontainer",
        source: file,
        variables: rest,
        path: (PATH ?? "").split(":").filter((directory) => directory.startsWith("/") && !own.includes(directory)),
        pure: false,
        mounts: [],
        shellHook: "",
        setup: wanted.lifecycle,
        image: name,
        differences: [...wanted.refused, ...(left.length === 0 ? [] : [`features of a registry are not fetched: ${left.join(", ")}`])],
      };
    },
  };
}

import { type EnvironmentSource, GuildError, type ProjectFiles, type SandboxService } from "@guildhall/core";

import { KEPT_PROJECT, placeBelow } from "./compose-volumes.ts";
import { buildFiles } from "./devcontainer-build.ts";
import { type BuildFiles, featureBuild } from "./devcontainer-features.ts";
import type { FeatureRegistry } from "./oci-features.ts";
import { type Devcontainer, DEVCONTAINER_FILES, readDevcontainer, substituted } from "./read-devcontainer.ts";

/** What is known of an image. */
export interface ImageFacts {
  id: string;
  platform: string;
  env: Readonly<Record<string, string>>;
}

/** Images as a sandbox provider has them. */
export interface SandboxImages {
  /** Undefined: it is not there. Nothing is fetched. */
  facts(name: string): Promise<ImageFacts | undefined>;
  /** Builds one without a network, or takes the one that was built from the same before; resolves to its name. */
  build(from: BuildFiles): Promise<string>;
}

export interface DevcontainerOptions {
  /** Undefined: sandboxes have no images. */
  images: SandboxImages | undefined;
  /** `linux/amd64`: what images are to be for. */
  platform: string;
  /** Features of registries; default none. */
  registry?: FeatureRegistry;
}

/**
 * devcontainer.json through a sandbox provider with images (`docker`): its image, or the one that its Dockerfile or the service of its Compose
 * file builds, with the features that lie in the project built in, is the
 * sandbox's system; its variables are the environment's; the other services of the
 * Compose file run beside it; its lifecycle commands run inside, each time a sandbox begins. What needs a registry, and what would
 * widen the sandbox, is told as a difference.
 */
export function devcontainerSource({ images, platform, registry }: DevcontainerOptions): EnvironmentSource {
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
      const asked = image === "" ? `what ${wanted.build?.dockerfile ?? file} builds` : `the image ${image}`;
      if (images === undefined) {
        throw new GuildError("failed_precondition", `${file} asks for ${asked}`, { remedy: "use --sandbox docker" });
      }
      const base = await baseImage(wanted, images, files, progress);
      const other = [wanted.platform, base.platform].find((one) => one !== undefined && one !== platform);
      if (other !== undefined) {
        throw new GuildError("unsupported", `${file} is for ${other}, and this machine is ${platform}`, {
          remedy: `name an image for ${platform}`,
        });
      }
      const { build, left } = await featureBuild(wanted, base.id, files, registry);
      if (build !== undefined)
        progress(`building ${image || file} with ${build.files.filter(({ path }) => path.endsWith("/install.sh")).length} features`);
      const name = build === undefined ? base.id : await images.build(build);
      const env = build === undefined ? base.env : ((await images.facts(name))?.env ?? base.env);
      const { PATH, ...rest } = Object.fromEntries(
        Object.entries(wanted.variables).map(([variable, value]) => [variable, substituted(value, workspace, env)]),
      );
      const { services, missing } = await servicesOf(wanted, { images, platform }, files, progress);
      // What is the project's own directory is nobody else's; what lies below it is told of relatively, the same wherever the project is.
      const placed = wanted.volumes.map((one) => ({ ...one, at: placeBelow(one.at, [workspace]) ?? one.at }));
      const over = placed.filter(({ at }) => `${workspace}/`.startsWith(`${at}/`) || KEPT_PROJECT.test(at));
      const volumes = placed.filter((one) => !over.includes(one));
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
        ...(services.length === 0 ? {} : { services }),
        ...(volumes.length === 0 ? {} : { volumes }),
        differences: [
          ...wanted.refused,
          ...missing,
          ...over.map((one) => `the volume ${one.name} is not at ${one.at}: the project's own directory stands there`),
          ...(left.length === 0 ? [] : [`features of registries that environment.feature_registries does not name: ${left.join(", ")}`]),
        ],
      };
    },
  };
}

/** Services whose images are there or can be built; a line on each that is not. */
async function servicesOf(
  { beside, file }: Devcontainer,
  { images, platform }: { images: SandboxImages; platform: string },
  files: ProjectFiles,
  progress: (line: string) => void,
): Promise<{ services: SandboxService[]; missing: string[] }> {
  const services: SandboxService[] = [];
  const missing: string[] = [];
  for (const { image = "", build, ...service } of beside) {
    try {
      if (image === "" && build === undefined) throw new GuildError("invalid_argument", "it names neither an image nor how to build one");
      const found = await baseImage({ image, build }, images, files, progress);
      if (found.platform !== platform) throw new GuildError("unsupported", `its image is for ${found.platform}`);
      services.push({ ...service, image: found.id });
    } catch (error) {
      missing.push(`the service ${service.name} of ${file} is not started: ${GuildError.from(error).line}`);
    }
  }
  return { services, missing };
}

/** The image that devcontainer.json names, or the one that is built from its Dockerfile, of images that the engine has. */
async function baseImage(
  { image, build }: Pick<Devcontainer, "image" | "build">,
  images: SandboxImages,
  files: ProjectFiles,
  progress: (line: string) => void,
): Promise<ImageFacts> {
  const known = async (name: string): Promise<ImageFacts> => {
    const found = await images.facts(name);
    if (found === undefined) throw new GuildError("not_found", `the Docker engine has no image ${name}`, { remedy: `docker pull ${name}` });
    return found;
  };
  if (build === undefined) return await known(image);
  const { from, bases } = await buildFiles(build, files);
  for (const name of bases) await known(name);
  progress(`building ${build.dockerfile}`);
  return await known(await images.build(from));
}

import { GuildError, type ProjectFiles } from "@guildhall/core";

import type { Data } from "../project/read-data.ts";
import { filesBelow, type BuildFiles } from "./devcontainer-features.ts";

/** What an image is built from, as devcontainer.json or a Compose file says it; paths relative to the project. */
export interface DevcontainerBuild {
  dockerfile: string;
  context: string;
  args: Readonly<Record<string, string>>;
  target: string | undefined;
}

/** The only directory whose files go into a build: what lies in it was trusted with devcontainer.json. */
export const TRUSTED = ".devcontainer";

/** `build`, or the older `dockerFile`, of devcontainer.json; undefined: it builds nothing by itself. */
export function buildOf(data: Data, file: string): DevcontainerBuild | undefined {
  const build = data.at("build");
  const dockerfile = build.at("dockerfile").text ?? build.at("dockerFile").text ?? data.at("dockerFile").text;
  if (dockerfile === undefined) return undefined;
  const beside = file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : "";
  return {
    dockerfile: resolved(beside, dockerfile),
    context: resolved(beside, build.at("context").text ?? data.at("context").text ?? "."),
    args: build.at("args").texts,
    target: build.at("target").text,
  };
}

/**
 * The files of a build, and the images that it begins with, which must be there: an engine fetches what it lacks. Only what lies in `.devcontainer`
 * is sent. Throws `unsupported` for what would reach into the network, `permission_denied` for a file that nobody has trusted.
 */
export async function buildFiles(build: DevcontainerBuild, files: ProjectFiles): Promise<{ from: BuildFiles; bases: string[] }> {
  const dockerfile = await trustedText(files, build.dockerfile);
  const inside = build.context === "" || build.context === "." ? "" : `${build.context}/`;
  const found = (await filesBelow(files, TRUSTED)).map((one) => ({ ...one, path: `${TRUSTED}/${one.path}` }));
  const sent = found.filter(({ path }) => path.startsWith(inside));
  return {
    from: {
      dockerfile,
      files: sent
        .map(({ path, text }) => ({ path: path.slice(inside.length), text, mode: path.endsWith(".sh") ? 0o755 : 0o644 }))
        .filter(({ path }) => path !== "Dockerfile"),
      args: build.args,
      ...(build.target === undefined ? {} : { target: build.target }),
    },
    bases: basesOf(dockerfile, build),
  };
}

function basesOf(dockerfile: string, { args, dockerfile: path }: DevcontainerBuild): string[] {
  const stages = new Set<string>();
  const known = new Map<string, string>();
  const bases = new Set<string>();
  const filled = (word: string): string =>
    word.replaceAll(/\$\{?(\w+)(?::-([^}]*))?\}?/g, (_, name: string, other: string = "") => known.get(name) ?? other);
  const base = (name: string): void => {
    if (name !== "scratch" && !stages.has(name) && !/^\d+$/.test(name)) bases.add(name);
  };
  for (const line of dockerfile.replaceAll(/\\\r?\n/g, " ").split("\n")) {
    const [, word = "", rest = ""] = /^\s*([A-Za-z]+)\s+(.*)$/.exec(line) ?? [];
    const command = word.toUpperCase();
    if (command === "ARG") {
      const [, name = "", value = ""] = /^(\w+)(?:=["']?([^"']*))?/.exec(rest) ?? [];
      known.set(name, args[name] ?? value);
    } else if (command === "FROM") {
      const [, name = "", stage] = /^(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(rest) ?? [];
      base(filled(name));
      if (stage !== undefined) stages.add(stage);
    } else if (command === "COPY") {
      const [, name] = /--from=(\S+)/.exec(rest) ?? [];
      if (name !== undefined) base(filled(name));
    } else if (command === "ADD" && /(?:https?|git|ssh):\/\/|git@/.test(rest)) {
      throw new GuildError("unsupported", `${path} adds a file of the network`, { remedy: `put it into ${TRUSTED} and COPY it` });
    }
  }
  return [...bases];
}

/** A file that was trusted with devcontainer.json. Throws `permission_denied` for one elsewhere, `not_found`. */
export async function trustedText(files: ProjectFiles, path: string): Promise<string> {
  if (!path.startsWith(`${TRUSTED}/`)) {
    throw new GuildError("permission_denied", `${path} lies outside ${TRUSTED}, where nobody has trusted it`, {
      remedy: `move it into ${TRUSTED}`,
    });
  }
  const text = await files.read(path);
  if (text === undefined) throw new GuildError("not_found", `there is no ${path}`);
  return text;
}

/** A path of the project; one that leads out of it throws `invalid_argument`. */
export function resolved(beside: string, path: string): string {
  const parts: string[] = [];
  for (const part of `${beside}/${path}`.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw new GuildError("invalid_argument", `${path} leads out of the project`);
  }
  return parts.join("/");
}

import { hash } from "node:crypto";

import { canonicalJson, type Environment } from "@guildhall/core";

/** What of an environment decides how commands behave in it. */
export type HashedEnvironment = Pick<
  Environment,
  "kind" | "variables" | "path" | "pure" | "mounts" | "shellHook" | "tools" | "setup" | "image" | "services" | "volumes"
>;

/**
 * `sha256:…` of an environment: equal for equal variables, search path, hook and tool versions, on whatever machine. `places`: the
 * project's directory and the home directory on this one, the inner first, which are no part of it.
 */
export function environmentHash(environment: HashedEnvironment, places: { workspace?: string; home: string }): string {
  const { workspace = "", home } = places;
  const portable = (text: string) => without(without(text, workspace, "."), home, "~");
  const { kind, variables, path, pure, mounts, shellHook, tools, setup, image, services, volumes } = environment;
  const content = {
    format: 1,
    kind,
    pure,
    variables: Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, portable(value)])),
    path: path.map(portable),
    mounts: mounts.map(({ at }) => portable(at)),
    shellHook,
    ...(setup === undefined ? {} : { setup: setup.map(({ name, argv }) => [name, ...argv.map(portable)]) }),
    ...(image === undefined ? {} : { image }),
    ...(services === undefined ? {} : { services }),
    ...(volumes === undefined ? {} : { volumes }),
    tools: tools.map(({ name, version }) => [name, version]).toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
  };
  return `sha256:${hash("sha256", canonicalJson(content), "hex")}`;
}

function without(text: string, directory: string, name: string): string {
  return directory === "" || directory === "/" ? text : text.replaceAll(directory, name);
}

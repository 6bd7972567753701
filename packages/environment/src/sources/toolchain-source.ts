import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";

import type { EnvironmentMount, EnvironmentSource, ToolVersion } from "@guildhall/core";

import { compare, numbersOf, satisfies } from "../tools/version-range.ts";

export interface ToolchainOptions {
  /** Home of the person who runs Guildhall, whose version managers are looked into. */
  home: string;
}

/** Where version managers keep what they have installed: `<place>/<version>/bin`. */
function placesOf(tool: string, home: string): string[] {
  const own: Readonly<Record<string, readonly string[]>> = {
    node: [".nvm/versions/node", ".local/share/fnm/node-versions", ".nodenv/versions", ".volta/tools/image/node"],
    python: [".pyenv/versions", ".local/share/uv/python"],
    ruby: [".rbenv/versions", ".rubies"],
    java: [".sdkman/candidates/java", ".jenv/versions"],
    go: [".goenv/versions", "sdk"],
    rust: [".rustup/toolchains"],
    php: [".phpenv/versions"],
  };
  const managed = ({ node: "nodejs", go: "golang" } as Readonly<Record<string, string>>)[tool] ?? tool;
  return [`.local/share/mise/installs/${tool}`, `.asdf/installs/${managed}`, ...(own[tool] ?? [])].map((place) => join(home, place));
}

/**
 * Versions that files like `.tool-versions`, `mise.toml`, `.nvmrc` and `rust-toolchain.toml` ask for, from what version managers have
 * installed in the person's home; those directories are shown read-only to the sandbox. Nothing is installed and no version manager is
 * run; a version that is not there is a difference, and the machine's own program serves.
 */
export function toolchainSource(options: ToolchainOptions): EnvironmentSource {
  return {
    kind: "toolchain",
    async claims({ facts }) {
      const files = [...new Set(facts.declared.flatMap(({ wantedBy }) => wantedBy ?? []))];
      return files.length === 0 ? undefined : files.join(" + ");
    },
    async resolve({ facts }) {
      const path: string[] = [];
      const mounts: EnvironmentMount[] = [];
      const variables: Record<string, string> = {};
      for (const tool of facts.declared) {
        const found = await installed(tool, options.home);
        if (found === undefined) continue;
        path.push(join(found, "bin"));
        mounts.push({ source: found, at: found });
        if (tool.name === "java") variables["JAVA_HOME"] = found;
        if (tool.name === "go") variables["GOROOT"] = found;
      }
      const source = [...new Set(facts.declared.flatMap(({ wantedBy }) => wantedBy ?? []))].join(" + ");
      return { kind: "toolchain", source, variables, path, pure: false, mounts, shellHook: "", differences: [] };
    },
  };
}

/** The newest installed version that does, as a real path; undefined: there is none. */
async function installed({ name, wanted = "" }: ToolVersion, home: string): Promise<string | undefined> {
  let best: { directory: string; numbers: number[] } | undefined;
  for (const place of placesOf(name, home)) {
    const versions = await readdir(place).catch(() => []); // this manager is not there
    for (const version of versions.slice(0, 200)) {
      const numbers = numbersOf(version);
      const fits =
        name === "rust" ? version.startsWith(`${wanted}-`) || satisfies(version, wanted) === true : satisfies(version, wanted) === true;
      if (!fits || (best !== undefined && compare(numbers ?? [], best.numbers) <= 0)) continue;
      const directory = await rootOf(join(place, version));
      if (directory !== undefined) best = { directory, numbers: numbers ?? [] };
    }
  }
  return best?.directory;
}

/** The directory with `bin`: the version's own, or one that fnm keeps below it. */
async function rootOf(directory: string): Promise<string | undefined> {
  for (const one of [directory, join(directory, "installation")]) {
    const bin = await stat(join(one, "bin")).catch(() => undefined); // an unfinished installation
    if (bin?.isDirectory()) return await realpath(one);
  }
  return undefined;
}

import { GuildError } from "@guildhall/core";
import { z } from "zod";

const schema = z.object({ variables: z.record(z.string(), z.object({ type: z.string(), value: z.unknown().optional() })) });

/** What of a development shell is the environment's. */
export interface DevEnv {
  variables: Record<string, string>;
  path: string[];
  shellHook: string;
}

/** Variables of the builder that made the shell, and of the shell it ran in: they mean nothing elsewhere. */
const BUILDERS = new Set(
  "BASH COMP_WORDBREAKS EPOCHREALTIME EPOCHSECONDS HOME HOSTTYPE IFS LINENO MACHTYPE NIX_BUILD_CORES NIX_BUILD_TOP NIX_LOG_FD NIX_STORE NIX_ATTRS_JSON_FILE NIX_ATTRS_SH_FILE NIX_ENFORCE_PURITY OLDPWD OPTERR OSTYPE PATH PS4 PWD SHELL SHELLOPTS SHLVL TEMP TEMPDIR TERM TMP TMPDIR TZ USER LOGNAME builder dontAddDisableDepTrack name out outputs phases shellHook stdenv system args passAsFile __structuredAttrs preferLocalBuild allowSubstitutes".split(
    " ",
  ),
);

/** Hooks that decide what a program loads into itself: a repository is not to set them for tools of ours. */
const REFUSED = /^(LD_(PRELOAD|AUDIT)|BASH_ENV|ENV|PROMPT_COMMAND|GUILD_.*)$/;

/**
 * The environment in the JSON of `nix print-dev-env --json`: exported variables without the builder's own; PATH apart. Throws
 * `invalid_argument`.
 */
export function readDevEnv(text: string): DevEnv {
  let read: z.output<typeof schema>;
  try {
    read = schema.parse(JSON.parse(text));
  } catch (error) {
    throw new GuildError("invalid_argument", "Nix printed no environment that can be read", { cause: error });
  }
  const variables: Record<string, string> = {};
  for (const [name, { type, value }] of Object.entries(read.variables)) {
    if (type !== "exported" || typeof value !== "string" || BUILDERS.has(name) || REFUSED.test(name)) continue;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes("\0")) continue;
    variables[name] = value;
  }
  const textOf = (name: string) => {
    const value = read.variables[name]?.value;
    return typeof value === "string" ? value : "";
  };
  // What is no absolute directory is a leftover of the builder's search path.
  const path = textOf("PATH")
    .split(":")
    .filter((directory) => directory.startsWith("/") && directory !== "/path-not-set");
  return { variables, path, shellHook: textOf("shellHook").trim() };
}

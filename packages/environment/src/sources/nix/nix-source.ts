import { hash } from "node:crypto";
import { join } from "node:path";

import { type EnvironmentSource, GuildError, type ProjectFiles, type ResolvedEnvironment, type ResolveRequest } from "@guildhall/core";

import { readDevEnv } from "./dev-env.ts";
import { writeDevenvFlake } from "./devenv-flake.ts";
import { copyForEvaluation, evaluationStamp } from "./evaluation-copy.ts";
import { type CachedDevEnv, NixCache } from "./nix-cache.ts";
import { type NixSetup, runNix } from "./nix-command.ts";

export interface NixSourceOptions {
  setup: NixSetup;
  /** File of the cache; undefined: everything is asked again. */
  cacheFile: string | undefined;
  /** What the sandbox of the environment can do. */
  sandbox: { mounts: boolean; pure: boolean };
}

const ENTRIES = ["flake.nix", "shell.nix", "default.nix", "devenv.nix"] as const;
type Entry = (typeof ENTRIES)[number];

/**
 * The development shell of a flake, or of shell.nix, default.nix or devenv.nix, through the real `nix`. A shell that has been resolved is taken from
 * the cache as long as the files it is made from are the same: then no Nix runs. Its store paths are kept by a root until the environment
 * is collected. Evaluated and built only when trusted, from a copy, as the set-up's user.
 */
export function nixSource(options: NixSourceOptions): EnvironmentSource {
  const cache = new NixCache(options.cacheFile);
  return {
    kind: "nix",
    claims: async ({ files }) => claimed(files),
    async resolve(request) {
      const entry = (await claimed(request.files)) ?? "flake.nix";
      if (!request.trusted) {
        throw new GuildError("failed_precondition", `${entry} is not trusted, and evaluating it runs its code`, {
          remedy: `read it, then: guild trust add ${request.workspace}`,
        });
      }
      if (!options.sandbox.mounts && options.setup.storeRoot !== undefined) {
        throw new GuildError("unsupported", "this sandbox cannot show the Nix store", { remedy: "use --sandbox bubblewrap" });
      }
      const found = await resolveShell(options, cache, entry, request);
      return environmentOf(options, entry, found);
    },
  };
}

async function claimed(files: ProjectFiles): Promise<Entry | undefined> {
  const names = new Set((await files.list("")).filter(({ kind }) => kind === "file").map(({ name }) => name));
  return ENTRIES.find((name) => names.has(name));
}

async function resolveShell({ setup }: NixSourceOptions, cache: NixCache, entry: Entry, request: ResolveRequest): Promise<CachedDevEnv> {
  const { inputs = [] } = setup;
  const stamp = [entry, setup.storeRoot ?? "", ...inputs, await evaluationStamp(request.workspace)].join(" ");
  const known = cache.byContent(stamp);
  if (known !== undefined) return known;
  const copy = await copyForEvaluation(request.workspace, join(setup.directory, "copies"), setup.user);
  try {
    const run = { signal: request.signal, progress: request.progress };
    const flake = entry === "flake.nix" || entry === "devenv.nix";
    if (entry === "devenv.nix") await writeDevenvFlake(copy.directory);
    // With inputs of the operator's, or of devenv's own lock file, the lock differs; it is never written.
    const locked = entry === "flake.nix" && inputs.length === 0 ? ["--no-update-lock-file"] : ["--no-write-lock-file"];
    const given = inputs.flatMap((one) => ["--override-input", one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)]);
    const what = flake
      ? [`path:${copy.directory}`, ...locked, ...given]
      : ["--file", join(copy.directory, entry), "--option", "restrict-eval", "true", "-I", copy.directory];
    const found = flake ? await derivationOf(setup, what, run) : "";
    // What one store has built, another has not.
    const derivation = found === "" || setup.storeRoot === undefined ? found : `${setup.storeRoot} ${found}`;
    const same = derivation === "" ? undefined : cache.byDerivation(derivation);
    if (same !== undefined) {
      cache.keep(stamp, derivation, same);
      return same;
    }
    const key = derivation === "" ? `content:${stamp}` : derivation;
    const root = join(setup.directory, "roots", hash("sha256", key, "hex").slice(0, 32));
    const text = await runNix(setup, ["print-dev-env", "--json", "--profile", root, ...what], run);
    const built = { ...readDevEnv(text.replaceAll(copy.directory, request.workspace)), root };
    cache.keep(stamp, key, built);
    return built;
  } finally {
    await copy.remove();
  }
}

/** Path of the shell's derivation; empty where only `print-dev-env` finds it. */
async function derivationOf(setup: NixSetup, [installable = "", ...more]: string[], run: Parameters<typeof runNix>[2]): Promise<string> {
  const system = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-${process.platform === "darwin" ? "darwin" : "linux"}`;
  try {
    return (
      await runNix(setup, ["eval", "--raw", `${installable}#devShells.${system}.default.drvPath`, ...more], {
        ...run,
        progress: () => undefined,
      })
    ).trim();
  } catch (error) {
    // An older flake, or one that is broken: what comes next tells.
    if (!GuildError.is(error, "invalid_argument")) throw error;
    return "";
  }
}

function environmentOf(
  { setup, sandbox }: NixSourceOptions,
  entry: string,
  { variables, path, shellHook, root }: CachedDevEnv,
): ResolvedEnvironment {
  const store = setup.storeRoot === undefined ? "/nix/store" : join(setup.storeRoot, "nix/store");
  const mixed = sandbox.pure ? [] : ["this sandbox shows the machine's programs besides those of the Nix store"];
  return {
    kind: "nix",
    source: entry,
    variables,
    path,
    pure: sandbox.pure,
    mounts: sandbox.mounts ? [{ source: store, at: "/nix/store" }] : [],
    shellHook,
    roots: [root],
    differences: mixed,
  };
}

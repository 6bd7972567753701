import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { GuildError } from "@guildhall/core";

import { type NixRun, type NixSetup, runNix } from "./nix-command.ts";

/** Removes every root but those that are alive, and lets Nix collect what only they held. Returns what Nix says it freed; empty: nothing was to be done. */
export async function collectNix(setup: NixSetup, alive: readonly string[], run: NixRun): Promise<string> {
  const directory = join(setup.directory, "roots");
  const kept = new Set(alive.map((root) => basename(root)));
  let removed = 0;
  for (const name of names(directory)) {
    if (kept.has(name.replace(/-\d+-link$/, ""))) continue;
    rmSync(join(directory, name), { force: true });
    removed += 1;
  }
  if (removed === 0) return "";
  const said: string[] = [];
  const printed = await runNix(setup, ["store", "gc"], { ...run, progress: (line) => void said.push(line) });
  return [...said, ...printed.split("\n")].findLast((line) => line.includes("freed"))?.trim() ?? "nothing was freed";
}

/**
 * Copies what roots hold to a directory of copies, or from there into the store, so that another worker need not build it. Returns the store
 * paths. Nix checks the content of each path against its hash as it arrives.
 *
 * @param store absolute path of the directory, which the user who runs Nix reads or writes; or, to copy there, `ssh://…`: the store of another
 * machine, by that user's own ssh.
 */
export async function copyNix(
  setup: NixSetup,
  paths: readonly string[],
  how: { store: string; fetch: boolean },
  run: NixRun,
): Promise<readonly string[]> {
  if (/^ssh(-ng)?:\/\//.test(how.store)) return await pushNix(setup, paths, how, run);
  const list = join(how.store, LIST);
  const wanted = how.fetch ? listed(list) : paths;
  if (wanted.length === 0) {
    if (!how.fetch) throw holdsNothing(how.store);
    throw new GuildError("failed_precondition", "there are no copies in this directory", {
      subject: how.store,
      remedy: "make them on the other worker: guild env copy --to",
    });
  }
  await runNix(setup, ["copy", how.fetch ? "--from" : "--to", `file://${how.store}`, "--no-check-sigs", ...wanted], run);
  if (!how.fetch) writeFileSync(list, `${[...new Set([...listed(list), ...wanted])].join("\n")}\n`);
  return wanted;
}

/** Into the store of another machine, which has it then: there is nothing to be fetched from there. */
async function pushNix(
  setup: NixSetup,
  paths: readonly string[],
  { store, fetch }: { store: string; fetch: boolean },
  run: NixRun,
): Promise<readonly string[]> {
  if (fetch) {
    throw new GuildError("unsupported", "what another machine has is not known here", {
      subject: store,
      remedy: "copy it from there: guild env copy --to ssh://THIS-MACHINE",
    });
  }
  if (paths.length === 0) throw holdsNothing(store);
  await runNix(setup, ["copy", "--to", store, "--no-check-sigs", ...paths], { ...run, named: true });
  return paths;
}

function holdsNothing(store: string): GuildError {
  return new GuildError("failed_precondition", "this environment holds nothing of the Nix store", {
    subject: store,
    remedy: "only environments of Nix are copied",
  });
}

/** File in a directory of copies that names the paths that were asked for; what they need comes with them. */
const LIST = "guildhall-paths";

function listed(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => /^\/nix\/store\/[0-9a-z]{32}-[\w.+?=-]+$/.test(line));
  } catch {
    return []; // nothing was copied there yet
  }
}

/** Store path that a root leads to; undefined: it leads nowhere. */
export function storePathOf(root: string): string | undefined {
  let at = root;
  for (let hops = 0; hops < 4; hops++) {
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return undefined;
    const target = readlinkSync(at);
    if (target.startsWith("/nix/store/")) return target;
    at = join(dirname(at), target);
  }
  return undefined;
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // no shell was ever built
  }
}

import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

import { contentOf, disarm, readConfig } from "./git-disarm.ts";

/** More directories than this are not looked through. */
const MOST_DIRECTORIES = 200_000;
const SIDE_BY_SIDE = 32;

/**
 * Takes from repositories that a sandbox has made or changed within its workspace what git would run when a person comes near them: `git status` looks
 * into repositories that the index names, editors into all that they find. Configuration keeps the keys that only say something, what it held
 * otherwise and hooks are put aside beside it. For the time when nothing runs in the workspace any more. Repositories that were guarded (`but`:
 * their directories) were out of the sandbox's reach. Returns the directories of those that it changed.
 */
export async function disarmRepositories(
  workspace: string,
  options: { since: number; but: ReadonlySet<string>; owner: { uid: number; gid: number } },
): Promise<string[]> {
  const disarmed: string[] = [];
  let ahead = [workspace];
  for (let seen = 0; ahead.length > 0 && seen < MOST_DIRECTORIES;) {
    const turn = ahead.splice(0, SIDE_BY_SIDE);
    seen += turn.length;
    const found = await Promise.all(
      turn.map(async (directory) => {
        const entries = await readdir(directory, { withFileTypes: true }).catch(() => []); // gone, or nobody's to read
        const names = new Set(entries.map(({ name }) => name));
        if (entries.some((entry) => entry.name === ".git" && !entry.isDirectory())) {
          for (const led of await gitDirectories(workspace, join(directory, ".git"))) {
            if (!options.but.has(led) && (await disarm(led, options))) disarmed.push(led);
          }
        }
        // What git takes for a repository, or for the common directory of one, whatever it is called.
        if (names.has("config") && names.has("objects")) {
          if (!options.but.has(directory) && (await disarm(directory, options))) disarmed.push(directory);
          return names.has("modules") ? [join(directory, "modules")] : [];
        }
        return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name));
      }),
    );
    ahead = [...found.flat(), ...ahead];
  }
  return disarmed;
}

/**
 * The same for single places, while a sandbox may be at work there. `places`: absolute, within `workspace`, `.git` files and directories or git
 * directories of other names; what is no repository is passed over. `old`: places that were there before the sandbox did anything; of the
 * others all is taken, whenever it was written.
 */
export async function disarmPlaces(
  workspace: string,
  places: readonly string[],
  options: { since: number; but: ReadonlySet<string>; owner: { uid: number; gid: number }; old: ReadonlySet<string> },
): Promise<string[]> {
  const disarmed = new Set<string>();
  for (const place of places) {
    // An old one that leads elsewhere now is new.
    const led = await lstat(place).catch(() => undefined); // gone again
    const same = options.old.has(place) && (led?.isDirectory() === true || (led?.ctimeMs ?? 0) < options.since);
    const since = same ? options.since : 0;
    for (const directory of await gitDirectories(workspace, place)) {
      if (!options.but.has(directory) && (await disarm(directory, { ...options, since }))) disarmed.add(directory);
    }
  }
  return [...disarmed];
}

/** Where git takes configuration and hooks from for what lies at a place: real paths within the workspace; what lies elsewhere no sandbox can write. */
async function gitDirectories(workspace: string, place: string): Promise<string[]> {
  const found: string[] = [];
  const add = async (path: string): Promise<string | undefined> => {
    const real = await realpath(path).catch(() => undefined); // leads nowhere
    if (real === undefined || !real.startsWith(`${workspace}/`)) return undefined;
    if (!(await isDirectory(real))) return real;
    if (place.endsWith("/.git") || (await exists(join(real, "objects"))) || (await exists(join(real, "commondir")))) found.push(real);
    const common = (await contentOf(join(real, "commondir")))?.trim() ?? "";
    if (common !== "" && common !== "." && found.length < MOST_STEPS) await add(resolve(real, common));
    return undefined;
  };
  const file = await add(place);
  if (file === undefined) return found;
  const pointer = /^gitdir: (.*)$/m.exec((await contentOf(file)) ?? "")?.[1];
  if (pointer !== undefined) await add(resolve(dirname(place), pointer.trim()));
  return found;
}

/** Git itself goes two: from a `.git` file to its directory, from there to the common one. */
const MOST_STEPS = 3;

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true; // gone again
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined; // not there
}

/** What guarded repositories are configured to run, by directory; to be remembered before a sandbox can change anything. */
export type KnownConfigurations = ReadonlyMap<string, string>;

/** Reads what `mendRepositories` compares with. `directories`: of guarded repositories. */
export async function knownConfigurations(directories: Iterable<string>): Promise<KnownConfigurations> {
  const known = new Map<string, string>();
  for (const directory of directories) known.set(directory, (await contentOf(join(directory, "config"))) ?? "");
  return known;
}

/**
 * For guarded repositories whose guard the host itself has replaced, so that a sandbox could write there until it was ended: what git would run and was not
 * configured before is put aside, whoever has written it. After the last process of the sandbox has gone. Returns the directories of those that it changed.
 */
export async function mendRepositories(
  known: KnownConfigurations,
  options: { since: number; owner: { uid: number; gid: number } },
): Promise<string[]> {
  const mended: string[] = [];
  for (const [directory, before] of known) {
    if (await disarm(directory, { ...options, before: readConfig(before).entries })) mended.push(directory);
  }
  return mended;
}

import { constants } from "node:fs";
import { lstat, open, readdir, readlink, rename } from "node:fs/promises";
import { join } from "node:path";

/** More directories than this are not looked through. */
const MOST_DIRECTORIES = 200_000;
const SIDE_BY_SIDE = 32;

/** What is put aside gets this after its name, which git does not look at. */
const ASIDE = ".from-sandbox";

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

/** What guarded repositories are configured to run, by directory; to be remembered before a sandbox can change anything. */
export type KnownConfigurations = ReadonlyMap<string, string>;

/** Reads what `mendRepositories` compares with. `directories`: of guarded repositories. */
export async function knownConfigurations(directories: Iterable<string>): Promise<KnownConfigurations> {
  const known = new Map<string, string>();
  for (const directory of directories) known.set(directory, await contentOf(join(directory, "config")).catch(() => "")); // unreadable to all
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

interface Disarming {
  since: number;
  owner: { uid: number; gid: number };
  /** What may stay, harmless or not. */
  before?: readonly Entry[];
}

/** Works through the opened directory, which nobody can put another in the place of, and follows no link. */
async function disarm(repository: string, options: Disarming): Promise<boolean> {
  const handle = await open(repository, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(() => undefined); // gone
  if (handle === undefined) return false;
  try {
    const at = `/proc/self/fd/${handle.fd}`;
    // Not where it was a moment ago: whoever is still at work there is not to lead us elsewhere.
    if ((await readlink(at)) !== repository) return false;
    return await disarmAt(at, options);
  } finally {
    await handle.close();
  }
}

async function disarmAt(at: string, { since, owner, before = [] }: Disarming): Promise<boolean> {
  let changed = false;
  const aside = async (name: string): Promise<void> => {
    await rename(join(at, name), join(at, name + ASIDE));
    changed = true;
  };
  const fresh = async (name: string): Promise<"file" | "directory" | "other" | undefined> => {
    const found = await lstat(join(at, name)).catch(() => undefined); // not there
    if (found === undefined || found.ctimeMs < since) return undefined;
    return found.isFile() && found.nlink === 1 ? "file" : found.isDirectory() ? "directory" : "other";
  };
  const config = await fresh("config");
  if (config === "file") {
    const { entries } = readConfig(await contentOf(join(at, "config")));
    const known = new Set(before.map(keyOf));
    const kept = entries.filter((entry) => isHarmless(entry) || known.has(keyOf(entry)));
    if (kept.length < entries.length) {
      await aside("config");
      const file = await open(join(at, "config"), "wx", 0o644);
      await file.writeFile(written(kept));
      if (process.geteuid?.() === 0) await file.chown(owner.uid, owner.gid);
      await file.close();
    }
  } else if (config !== undefined) await aside("config");
  if ((await fresh("config.worktree")) !== undefined) await aside("config.worktree");
  const hooks = await fresh("hooks");
  if (hooks === "directory") {
    const names = await readdir(join(at, "hooks"));
    if (names.some((name) => !name.endsWith(".sample"))) await aside("hooks");
  } else if (hooks !== undefined) await aside("hooks");
  return changed;
}

async function contentOf(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

interface Entry {
  section: string;
  subsection: string | undefined;
  name: string;
  value: string;
}

/**
 * Entries in the plain form that git itself writes, and other lines as they are, without a name; `whole`: there are none of those, which git might understand
 * otherwise than we do.
 */
function readConfig(text: string): { entries: Entry[]; whole: boolean } {
  const entries: Entry[] = [];
  let whole = true;
  let section = "";
  let subsection: string | undefined;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || /^[#;]/.test(line)) continue;
    const header = /^\[([A-Za-z0-9-]+)(?: "([^"\\]*)")?\]$/.exec(line);
    if (header !== null) {
      section = (header[1] ?? "").toLowerCase();
      subsection = header[2];
      continue;
    }
    const pair = /^([A-Za-z][A-Za-z0-9-]*) = ("?)([^"\\#;]*)\2$/.exec(line);
    if (pair === null) {
      whole = false;
      if (line.startsWith("[")) [section, subsection] = [line, undefined];
      entries.push({ section, subsection, name: "", value: raw });
    } else entries.push({ section, subsection, name: (pair[1] ?? "").toLowerCase(), value: (pair[3] ?? "").trim() });
  }
  return { entries, whole };
}

/** Keys whose value git neither runs nor takes further configuration from. */
const harmless: Record<string, RegExp> = {
  core: /^(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|autocrlf|eol|safecrlf|sharedrepository|worktree|sparsecheckout|sparsecheckoutcone)$/,
  remote: /^(url|pushurl|fetch|push|tagopt|prune|mirror|promisor|partialclonefilter)$/,
  branch: /^(remote|merge|rebase|description)$/,
  user: /^(name|email)$/,
  submodule: /^(url|active|branch)$/,
  extensions: /^(objectformat|refstorage|partialclone|noop)$/,
  init: /^defaultbranch$/,
  pull: /^(rebase|ff)$/,
  push: /^(default|autosetupremote)$/,
};

function isHarmless({ section, name, value }: Entry): boolean {
  // `ext::…` and other helpers are programs.
  if ((section === "remote" || section === "submodule") && /^\w+::|^-/.test(value)) return false;
  return harmless[section]?.test(name) === true && !/[\n\0]/.test(value);
}

function keyOf({ section, subsection, name, value }: Entry): string {
  return JSON.stringify([section, subsection, name, value]);
}

function written(entries: readonly Entry[]): string {
  const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  return entries
    .map(({ section, subsection, name, value }) => {
      const header = subsection === undefined ? `[${section}]` : `[${section} ${quoted(subsection)}]`;
      if (name === "") return value.trim() === section ? "" : `${section.startsWith("[") ? section : header}\n${value}\n`;
      return `${header}\n\t${name} = ${quoted(value)}\n`;
    })
    .join("");
}

import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { chmod, lstat, open, readdir, readlink, rename, stat } from "node:fs/promises";
import { join } from "node:path";

/** What is put aside gets this after its name, which git does not look at. */
const ASIDE = ".from-sandbox";

/** Nobody configures so much; what is larger is put aside unread. */
const LONGEST_CONFIG = 1 << 20;

/** Node has no name for it; the same on every processor but three old ones. */
const O_PATH = 0o10000000;

export interface Disarming {
  /** What has not been changed since then stays, milliseconds. */
  since: number;
  owner: { uid: number; gid: number };
  /** What may stay, harmless or not. */
  before?: readonly ConfigEntry[];
}

/**
 * Takes out of a git directory what git would run or take further configuration from. Works through the opened directory, which nobody can put
 * another in the place of, and follows no link: somebody may still be at work there. True: something was taken.
 */
export async function disarm(repository: string, options: Disarming): Promise<boolean> {
  const handle = await open(repository, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(() => undefined); // gone
  if (handle === undefined) return false;
  try {
    const at = `/proc/self/fd/${handle.fd}`;
    // Not where it was a moment ago: whoever is still at work there is not to lead us elsewhere.
    if ((await readlink(at)) !== repository) return false;
    const { mode } = await stat(at);
    // Git needs less to obey it than we to change it.
    if ((mode & 0o700) !== 0o700) await chmod(at, (mode & 0o777) | 0o700);
    return await disarmAt(at, options);
  } finally {
    await handle.close();
  }
}

async function disarmAt(at: string, { since, owner, before = [] }: Disarming): Promise<boolean> {
  let changed = false;
  const aside = async (name: string): Promise<void> => {
    if (await putAside(join(at, name))) changed = true;
  };
  const fresh = async (name: string): Promise<"file" | "directory" | "other" | undefined> => {
    const found = await lstat(join(at, name)).catch(() => undefined); // not there
    if (found === undefined || found.ctimeMs < since) return undefined;
    return found.isFile() && found.nlink === 1 && found.size <= LONGEST_CONFIG ? "file" : found.isDirectory() ? "directory" : "other";
  };
  const config = await fresh("config");
  if (config === "file") {
    const text = await contentOf(join(at, "config"));
    const entries = text === undefined ? [] : readConfig(text).entries;
    const known = new Set(before.map(keyOf));
    const kept = entries.filter((entry) => isHarmless(entry) || known.has(keyOf(entry)));
    if (text === undefined || kept.length < entries.length) {
      await aside("config");
      const file = await open(join(at, "config"), "wx", 0o644).catch(() => undefined); // somebody was faster: the next look is at that
      await file?.writeFile(written(kept));
      if (process.geteuid?.() === 0) await file?.chown(owner.uid, owner.gid);
      await file?.close();
    }
  } else if (config !== undefined) await aside("config");
  if ((await fresh("config.worktree")) !== undefined) await aside("config.worktree");
  const hooks = await fresh("hooks");
  const names = await readdir(join(at, "hooks")).catch(() => (hooks === "directory" ? ["unreadable"] : [])); // there are none
  const telling = names.filter((name) => !name.endsWith(".sample") && !name.endsWith(ASIDE));
  if (hooks === "directory" && telling.length > 0) await aside("hooks");
  else if (hooks === "file" || hooks === "other") await aside("hooks");
  else if (hooks === undefined) for (const name of telling) if ((await fresh(`hooks/${name}`)) !== undefined) await aside(`hooks/${name}`);
  return changed;
}

/** Under a name that is free, or that of what was put aside before; false: it is gone. */
async function putAside(path: string): Promise<boolean> {
  for (let tries = 0; ; tries += 1) {
    try {
      // Whoever is to be put aside may have taken the names that can be guessed.
      const which = tries === 0 ? "" : `-${tries < 4 ? String(tries) : randomUUID()}`;
      await rename(path, `${path}${which}${ASIDE}`);
      return true;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "";
      if (code === "ENOENT") return false;
      if (!["EEXIST", "ENOTEMPTY", "EISDIR", "ENOTDIR"].includes(code) || tries > 100) throw error;
    }
  }
}

/** Of a plain file that is no larger than a configuration; undefined: it is none, or cannot be read. */
export async function contentOf(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => undefined); // gone, or a link
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    return found.isFile() && found.size <= LONGEST_CONFIG ? await file.readFile("utf8") : undefined;
  } finally {
    await file.close();
  }
}

/** A line of a configuration in the plain form that git itself writes. */
export interface ConfigEntry {
  section: string;
  subsection: string | undefined;
  name: string;
  value: string;
}

/**
 * Entries in the plain form that git itself writes, and other lines as they are, without a name; `whole`: there are none of those, which git might understand
 * otherwise than we do.
 */
export function readConfig(text: string): { entries: ConfigEntry[]; whole: boolean } {
  const entries: ConfigEntry[] = [];
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

function isHarmless({ section, name, value }: ConfigEntry): boolean {
  // `ext::…` and other helpers are programs.
  if ((section === "remote" || section === "submodule") && /^\w+::|^-/.test(value)) return false;
  return harmless[section]?.test(name) === true && !/[\n\0]/.test(value);
}

function keyOf({ section, subsection, name, value }: ConfigEntry): string {
  return JSON.stringify([section, subsection, name, value]);
}

function written(entries: readonly ConfigEntry[]): string {
  const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  return entries
    .map(({ section, subsection, name, value }) => {
      const header = subsection === undefined ? `[${section}]` : `[${section} ${quoted(subsection)}]`;
      if (name === "") return value.trim() === section ? "" : `${section.startsWith("[") ? section : header}\n${value}\n`;
      return `${header}\n\t${name} = ${quoted(value)}\n`;
    })
    .join("");
}

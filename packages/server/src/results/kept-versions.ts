import { readdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";

const PREFIX = "conflicts-";

/** What nobody has fetched after so long goes: it stays in the session's checkpoints. */
const KEPT_DAYS = 30;

/** A place for the versions of files that lose against the person's own when results are applied. */
export function placeForKept(directory: string, session: string, now: number): string {
  return join(directory, session, `${PREFIX}${now}`);
}

/** What lost when results of a session were applied, oldest first: the path in the workspace and the file that was kept. */
export async function keptVersions(directory: string, session: string): Promise<Array<{ path: string; kept: string }>> {
  const found: Array<{ path: string; kept: string }> = [];
  for (const place of await placesOf(directory, session)) {
    const entries = await readdir(place, { recursive: true, withFileTypes: true }).catch(() => []); // gone meanwhile
    const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    found.push(...files.toSorted().map((kept) => ({ path: relative(place, kept), kept })));
  }
  return found;
}

/** Removes those of one session, whenever they were kept. */
export async function forgetKept(directory: string, session: string): Promise<void> {
  for (const place of await placesOf(directory, session)) await rm(place, { recursive: true, force: true });
}

/** Removes those of all sessions that were kept too long ago. */
export async function expireKept(directory: string, now: number): Promise<void> {
  for (const session of await readdir(directory).catch(() => [])) {
    for (const place of await placesOf(directory, session)) {
      if (timeOf(place) < now - KEPT_DAYS * 86_400_000) await rm(place, { recursive: true, force: true });
    }
  }
}

async function placesOf(directory: string, session: string): Promise<string[]> {
  const names = await readdir(join(directory, session)).catch(() => []); // nothing was ever applied
  const own = names.filter((name) => name.startsWith(PREFIX)).map((name) => join(directory, session, name));
  return own.toSorted((a, b) => timeOf(a) - timeOf(b));
}

function timeOf(place: string): number {
  return Number(place.slice(place.lastIndexOf(PREFIX) + PREFIX.length));
}

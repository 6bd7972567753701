import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import {
  type CheckpointStore,
  decodeTree,
  EMPTY_TREE,
  type EventLog,
  GIT_TREE,
  gitObjectId,
  type SessionRecord,
  type SessionState,
} from "@guildhall/core";

import { foldSession } from "../sessions/describe-session.ts";

/** Work of a session that ended without anybody having looked at what it had done last. */
export interface CutOff {
  /** The last tree that was looked at. */
  tree: string;
  /** When what came after it may have begun, and when the last process of it had ended for certain; milliseconds since 1970. */
  since: number;
  until: number;
}

/** Clocks of two machines, and of a file system, differ by less. */
const MARGIN_MS = 30_000;

/** Whether the last worker of a session, or its daemon, was killed after it had begun to act. */
export async function findCutOff(log: EventLog, record: SessionRecord): Promise<CutOff | undefined> {
  // Who comes to an end gives the lease back.
  if (record.leaseExpires === undefined) return undefined;
  const state = await foldSession(log, record);
  const { turn, checkpoint } = state;
  // Before the first action of a turn nobody has done anything, and the checkpoint is perhaps older than what a person has done. A turn that is over was
  // ended by somebody else, since its worker was lost: what was not done when it ended was under way.
  if (checkpoint === undefined || !hasActed(state)) return undefined;
  return { tree: checkpoint.tree, since: turn.openedAt - MARGIN_MS, until: record.leaseExpires.getTime() + MARGIN_MS };
}

/**
 * The same of the session that worked last in the workspace of one that is new: it may never go on, and what it left would be taken for the person's
 * from now on. One that was handed its work has a session at work above it there, which has looked already.
 */
export async function findCutOffBefore(
  log: EventLog,
  record: SessionRecord,
  isRunning: (session: string) => boolean,
): Promise<CutOff | undefined> {
  const { tenant, session, workspace, parent, epoch } = record;
  if (epoch > 0 || parent !== undefined) return undefined;
  const latest = await log.listSessions({ tenant, workspace, limit: LATEST });
  const [last] = latest.filter((one) => one.session !== session).toSorted((a, b) => b.updated.getTime() - a.updated.getTime());
  return last === undefined || isRunning(last.session) ? undefined : await findCutOff(log, last);
}

const LATEST = 10;

function hasActed({ open, observations, turn }: SessionState): boolean {
  return open.some(({ started }) => started !== undefined) || (observations.at(-1)?.seq ?? 0) > turn.openedSeq;
}

/** What is to be made of protected files that are there when work that was cut off goes on. */
export interface LookedBack {
  /** May be made read-only: they were there before, or are a person's. */
  kept: string[];
  /** Directories, of those asked about, that cannot be so as a whole. */
  opened: string[];
  /** Files that a person has made or changed after nothing of the agent's ran any more. */
  persons: Set<string>;
}

/**
 * Tells apart what lies at protected paths (`found`, relative files and directories): what the tree has, what a person has made since, and the rest,
 * which an agent may have made. Content says nothing about that, so times do: of the change, and of the making, so that touching a file of the
 * agent's does not make it the person's. Follows no link. For the time before anything runs in the workspace again.
 */
export async function lookBack(cut: CutOff, workspace: string, found: readonly string[], store: CheckpointStore): Promise<LookedBack> {
  const result: LookedBack = { kept: [], opened: [], persons: new Set() };
  for (const path of found) {
    const files = await filesOf(workspace, path);
    const kept: string[] = [];
    for (const file of files) {
      const whose = await whoseIs(file, cut, workspace, store);
      if (whose === "person") result.persons.add(file);
      if (whose !== "unknown") kept.push(file);
    }
    if (kept.length === files.length) result.kept.push(path);
    else {
      result.kept.push(...kept);
      result.opened.push(path);
    }
  }
  return result;
}

async function whoseIs(path: string, cut: CutOff, workspace: string, store: CheckpointStore): Promise<"before" | "person" | "unknown"> {
  const file = join(workspace, path);
  const { ctimeMs, birthtimeMs, size } = await lstat(file);
  const bornMeanwhile = birthtimeMs >= cut.since && birthtimeMs <= cut.until;
  if (ctimeMs > cut.until && !bornMeanwhile) return "person";
  const id = await idAt(store, cut.tree, path);
  if (id !== undefined) return size <= LARGEST && id === gitObjectId("blob", await readFile(file)) ? "before" : "unknown";
  // Checkpoints leave out what is ignored and large. What is there for long has not come from elsewhere in the workspace either.
  const above = path.split("/").map((_, index, parts) => parts.slice(0, index + 1).join("/"));
  const changed = await Promise.all(above.map(async (part) => (await lstat(join(workspace, part))).ctimeMs));
  return Math.max(...changed) < cut.since ? "before" : "unknown";
}

const LARGEST = 16 << 20;

/** Files at or below a path; links are no files. */
async function filesOf(workspace: string, path: string): Promise<string[]> {
  const found = await lstat(join(workspace, path)).catch(() => undefined); // gone meanwhile
  if (found?.isFile() === true) return [path];
  if (found?.isDirectory() !== true) return [];
  const names = await readdir(join(workspace, path));
  return (await Promise.all(names.map((name) => filesOf(workspace, `${path}/${name}`)))).flat();
}

/** Of the file that a tree has there; undefined: none. */
async function idAt(store: CheckpointStore, tree: string, path: string): Promise<string | undefined> {
  let at: { mode: number; id: string } | undefined = { mode: GIT_TREE, id: tree };
  for (const name of path.split("/")) {
    if (at?.mode !== GIT_TREE || at.id === EMPTY_TREE) return undefined;
    at = decodeTree((await store.get(at.id)).content).find((entry) => entry.name === name);
  }
  return at?.mode === GIT_TREE ? undefined : at?.id;
}

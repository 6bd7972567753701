import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { type Replay, replaySession } from "@guildhall/agent";
import {
  type BlobStore,
  body,
  type Checkpointer,
  type CheckpointStore,
  decodeTree,
  EMPTY_TREE,
  type EventBody,
  type EventLog,
  GIT_TREE,
  GuildError,
  type Ids,
  type SessionKey,
  type SessionRecord,
} from "@guildhall/core";
import { VERSION } from "@guildhall/core/paths";
import type { Event } from "@guildhall/protocol";

import type { SessionRunner } from "../worker/session-host.ts";
import { checkWorkspace } from "../worker/workspace.ts";
import { type Collected, collectCheckpoints } from "./collect-checkpoints.ts";
import { compareSessions, type Comparison } from "./compare-sessions.ts";
import { foldSession } from "./describe-session.ts";
import { readSessionFile, writeSessionFile } from "./session-file.ts";

export interface SessionHistoryDeps {
  log: EventLog;
  blobs: BlobStore;
  host: SessionRunner;
  ids: Ids;
  /** Parent of the folders that forks get. */
  forks: string;
  /** The store that holds the checkpoints of a workspace. */
  checkpointStore(workspace: string): Promise<CheckpointStore>;
  /** Runs `work` with a checkpointer over `workspace` in a sandbox of its own. */
  withCheckpointer<T>(workspace: string, provider: string, work: (checkpointer: Checkpointer) => Promise<T>): Promise<T>;
}

/** Going back in a session, and going on from an earlier point in a new one. */
export class SessionHistory {
  readonly #deps: SessionHistoryDeps;

  constructor(deps: SessionHistoryDeps) {
    this.#deps = deps;
  }

  /**
   * A new session whose log begins with copies of the events up to `at`, and whose workspace holds the files of that point. The folder is
   * `workspace`, which must be empty or new, or one of ours. A `.git` of the source comes along without its hooks and configuration.
   */
  async fork(key: SessionKey, at: number, workspace: string, actor: string): Promise<SessionRecord> {
    const { log, ids } = this.#deps;
    const parent = await log.getSession(key);
    const events = await this.#eventsAround(parent, at);
    const tree = treeAt(events, at);
    const state = await foldSession(log, parent, at);
    const session = ids.next("ses");
    const target = makeFolder(workspace === "" ? join(this.#deps.forks, session) : workspace, workspace !== "");
    try {
      copyRepository(parent.workspace, target);
      await copyTree(await this.#deps.checkpointStore(parent.workspace), await this.#deps.checkpointStore(target), tree);
      await this.#deps.withCheckpointer(target, state.info.sandbox, (checkpointer) => checkpointer.restore(tree));
      const bodies = events.filter((event) => event.seq <= at).map((event) => event.body as EventBody);
      const forked = body.sessionForked({ parentSessionId: key.session, atSeq: at, workspace: target });
      return await log.createSession({
        tenant: key.tenant,
        session,
        title: parent.title,
        workspace: target,
        parent: key.session,
        actor,
        events: [...bodies, forked],
      });
    } catch (error) {
      if (workspace === "") rmSync(target, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * Puts files and history back to event `to`. The present is checkpointed first, and its checkpoint is an event too: rewinding to that one
   * undoes the rewind.
   */
  async rewind(
    key: SessionKey,
    to: number,
  ): Promise<{ record: SessionRecord; restoredTree: string; beforeTree: string; changedFiles: number }> {
    const { log, host } = this.#deps;
    const record = await log.getSession(key);
    const tree = treeAt(await this.#eventsAround(record, to), to);
    checkWorkspace(record.workspace);
    const workbench = await host.borrow(record);
    const checkpointer = await workbench.checkpointer;
    const lease = await log.acquireLease(key, host.worker, rewindLeaseMs, { takeover: true });
    try {
      const before = await checkpointer.capture();
      const current = await log.getSession(key);
      const append = { ...key, epoch: lease.epoch, actor: `worker:${host.worker}` };
      await log.append({
        ...append,
        expectedSeq: current.lastSeq,
        events: [body.checkpointMade({ ...before, storedBytes: BigInt(before.storedBytes) })],
      });
      const changes = await checkpointer.restore(tree);
      const rewound = body.sessionRewound({ toSeq: to, tree, beforeTree: before.tree });
      await log.append({ ...append, expectedSeq: current.lastSeq + 1, events: [rewound] });
      return { record: await log.getSession(key), restoredTree: tree, beforeTree: before.tree, changedFiles: changes.length };
    } finally {
      await log.releaseLease(lease);
      // Shells and background processes belong to the history that was left.
      await host.cool(key.session);
    }
  }

  /** The session's file: JSON lines. */
  export(key: SessionKey): AsyncIterable<Uint8Array> {
    return writeSessionFile(this.#deps, key);
  }

  /** Runs a session's file again over its recorded results and compares the logs. */
  async replay(chunks: AsyncIterable<Uint8Array>): Promise<Replay> {
    const { version, session, events } = await readSessionFile(chunks);
    return await replaySession(events, { session, freeWording: version !== VERSION });
  }

  /** What two sessions have come to. */
  async compare(a: SessionKey, b: SessionKey): Promise<{ a: SessionRecord; b: SessionRecord; comparison: Comparison }> {
    const { log, checkpointStore } = this.#deps;
    const [one, other] = [await log.getSession(a), await log.getSession(b)];
    return { a: one, b: other, comparison: await compareSessions({ log, store: checkpointStore }, one, other) };
  }

  /** Frees checkpoints that no session names any more. */
  collect(tenant: string, signal?: AbortSignal): Promise<Collected> {
    const { log, checkpointStore: store } = this.#deps;
    return collectCheckpoints({ log, tenant, store, ...(signal === undefined ? {} : { signal }) });
  }

  /** The events from the first to the first checkpoint after `at`, or a page after it. */
  async #eventsAround(record: SessionRecord, at: number): Promise<Event[]> {
    if (at < 1 || at > record.lastSeq) {
      throw new GuildError("invalid_argument", `there is no event ${at}`, {
        subject: record.session,
        remedy: `choose one from 1 to ${record.lastSeq}: guild session events ${record.session}`,
      });
    }
    const events: Event[] = [];
    while (events.length < Math.min(record.lastSeq, at + 20)) {
      const page = await this.#deps.log.read(record, events.length + 1, 500);
      if (page.length === 0) break;
      events.push(...page);
    }
    return events;
  }
}

/** Time for capture and restore together, milliseconds. */
const rewindLeaseMs = 120_000;

/**
 * The tree that holds the workspace as it was at event `at`: the checkpoint just after it where nothing can have changed in between, else
 * the last one before. Throws `failed_precondition` when there is none.
 */
export function treeAt(events: readonly Event[], at: number): string {
  for (const event of events) {
    if (event.seq <= at) continue;
    if (event.body.case === "checkpointMade") return event.body.value.tree;
    if (event.body.case === "modelReplied" || event.body.case === "actionStarted" || event.body.case === "actionFinished") break;
  }
  let tree: string | undefined;
  for (const event of events) {
    if (event.seq > at) break;
    if (event.body.case === "checkpointMade") tree = event.body.value.tree;
    if (event.body.case === "sessionRewound") tree = event.body.value.tree;
  }
  if (tree === undefined) {
    throw new GuildError("failed_precondition", `there is no checkpoint at event ${at}`, { remedy: "choose a later event" });
  }
  return tree;
}

/** Copies a tree and all that it names. Objects already there are passed over. */
export async function copyTree(from: CheckpointStore, to: CheckpointStore, tree: string): Promise<void> {
  if (from === to || tree === EMPTY_TREE || (await to.has(tree))) return;
  const object = await from.get(tree);
  const entries = decodeTree(object.content);
  for (const entry of entries) if (entry.mode === GIT_TREE) await copyTree(from, to, entry.id);
  const blobs: Array<{ id: string; kind: "blob" | "tree"; content: Uint8Array }> = [];
  let size = 0;
  for (const entry of entries) {
    if (entry.mode === GIT_TREE || (await to.has(entry.id))) continue;
    const blob = await from.get(entry.id);
    blobs.push({ id: entry.id, ...blob });
    size += blob.content.length;
    if (size > batchBytes) {
      await to.put(blobs.splice(0));
      size = 0;
    }
  }
  await to.put([...blobs, { id: tree, ...object }]);
}

const batchBytes = 4_000_000;

function makeFolder(path: string, given: boolean): string {
  if (existsSync(path) && (!lstatSync(path).isDirectory() || readdirSync(path).length > 0)) {
    throw new GuildError("already_exists", "the fork's folder is not empty", { subject: path, remedy: "name an empty or new one" });
  }
  mkdirSync(path, { recursive: true, mode: given ? 0o755 : 0o700 });
  return checkWorkspace(path);
}

/**
 * A repository's objects, references and index; no hooks, no configuration, nothing that git would run. Where `.git` is a file (a work tree
 * of another repository), nothing is copied.
 */
function copyRepository(source: string, target: string): void {
  const git = join(source, ".git");
  if (!existsSync(git) || !lstatSync(git).isDirectory()) return;
  const excluded = new Set(["hooks", "config", "config.worktree", "worktrees", "modules", "index.lock"]);
  cpSync(git, join(target, ".git"), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (from) => !excluded.has(basename(from)) || basename(join(from, "..")) !== ".git",
  });
  writeFileSync(join(target, ".git", "config"), "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n");
}

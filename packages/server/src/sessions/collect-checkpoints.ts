import { toJsonString } from "@bufbuild/protobuf";
import type { CheckpointStore, EventLog, SessionRecord } from "@guildhall/core";
import { EventSchema } from "@guildhall/protocol";

/** What a collection freed. */
export interface Collected {
  workspaces: number;
  objects: number;
  bytes: number;
}

/** What people and models said names no checkpoint, and is most of a log. */
const WORDS: ReadonlySet<string | undefined> = new Set(["messageReceived", "modelReplied", "actionFinished", "noticeGiven"]);

/**
 * Frees what no session's log names any more: in each workspace that a session has had, every object of its store that is reachable from no tree of any of its
 * sessions. Whatever looks like a tree's id anywhere in an event counts as named, so that no event is forgotten that a later version adds.
 */
export async function collectCheckpoints(deps: {
  log: EventLog;
  tenant: string;
  store(workspace: string): Promise<CheckpointStore>;
  /** Stop before the next workspace. */
  signal?: AbortSignal;
}): Promise<Collected> {
  const { log, tenant } = deps;
  const byWorkspace = new Map<string, SessionRecord[]>();
  for (let before: string | undefined; ;) {
    const page = await log.listSessions({ tenant, limit: 200, ...(before === undefined ? {} : { before }) });
    for (const record of page) byWorkspace.set(record.workspace, [...(byWorkspace.get(record.workspace) ?? []), record]);
    before = page.at(-1)?.session;
    if (page.length < 200) break;
  }
  const all: Collected = { workspaces: 0, objects: 0, bytes: 0 };
  for (const [workspace, records] of byWorkspace) {
    if (deps.signal?.aborted === true) break;
    const store = await deps.store(workspace);
    const roots = new Set<string>();
    for (const record of records) for (const root of await treesOf(log, record)) roots.add(root);
    const { objects, bytes } = await store.collect(roots);
    all.workspaces += 1;
    all.objects += objects;
    all.bytes += bytes;
  }
  return all;
}

async function treesOf(log: EventLog, record: SessionRecord): Promise<Set<string>> {
  const trees = new Set<string>();
  for (let from = 1; ;) {
    const events = await log.read(record, from, 500);
    for (const event of events) {
      if (WORDS.has(event.body.case)) continue;
      for (const [id] of toJsonString(EventSchema, event).matchAll(/\b[0-9a-f]{40}\b/g)) trees.add(id);
    }
    from += events.length;
    if (events.length < 500) return trees;
  }
}

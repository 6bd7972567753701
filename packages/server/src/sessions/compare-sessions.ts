import {
  type CheckpointStore,
  decodeTree,
  EMPTY_TREE,
  type EventLog,
  GIT_TREE,
  type SessionKey,
  type SessionRecord,
} from "@guildhall/core";
import type { Event } from "@guildhall/protocol";

/** How the files of two sessions differ at their ends. */
export interface FileDifference {
  path: string;
  /** `only_a`, `only_b` or `different`. */
  difference: "only_a" | "only_b" | "different";
}

export interface Comparison {
  /** Events that both logs begin with: 0 unless one was forked from the other, or both from a third. */
  common: number;
  /** Trees at the end; empty: no checkpoint was made. */
  trees: { a: string; b: string };
  checkpoints: { a: number; b: number };
  files: FileDifference[];
  /** More differ than are listed. */
  more: boolean;
}

/** Files that are listed. */
const MOST_FILES = 1_000;

/** Compares what two sessions have come to: by their last checkpoints, whose unchanged parts are known by their ids and never read. */
export async function compareSessions(
  deps: { log: EventLog; store(workspace: string): Promise<CheckpointStore> },
  a: SessionRecord,
  b: SessionRecord,
): Promise<Comparison> {
  const [eventsA, eventsB] = await Promise.all([allEvents(deps.log, a), allEvents(deps.log, b)]);
  const [treeA, treeB] = [lastTree(eventsA), lastTree(eventsB)];
  const [storeA, storeB] = await Promise.all([deps.store(a.workspace), deps.store(b.workspace)]);
  const files: FileDifference[] = [];
  if (treeA !== "" && treeB !== "") await differ({ store: storeA, tree: treeA }, { store: storeB, tree: treeB }, "", files);
  return {
    common: commonEvents(eventsA, eventsB),
    trees: { a: treeA, b: treeB },
    checkpoints: { a: checkpoints(eventsA), b: checkpoints(eventsB) },
    files: files.slice(0, MOST_FILES),
    more: files.length > MOST_FILES,
  };
}

interface Side {
  store: CheckpointStore;
  tree: string;
}

async function differ(a: Side, b: Side, folder: string, found: FileDifference[]): Promise<void> {
  if (a.tree === b.tree || found.length > MOST_FILES) return;
  const [entriesA, entriesB] = await Promise.all([entriesOf(a), entriesOf(b)]);
  for (const name of [...new Set([...entriesA.keys(), ...entriesB.keys()])].toSorted()) {
    const [one, other] = [entriesA.get(name), entriesB.get(name)];
    const path = folder === "" ? name : `${folder}/${name}`;
    if (one?.id === other?.id && one?.mode === other?.mode) continue;
    const [folderA, folderB] = [one?.mode === GIT_TREE, other?.mode === GIT_TREE];
    if (folderA || folderB) {
      const below = (side: Side, entry: typeof one, isFolder: boolean): Side => ({
        store: side.store,
        tree: isFolder ? (entry?.id ?? EMPTY_TREE) : EMPTY_TREE,
      });
      await differ(below(a, one, folderA), below(b, other, folderB), path, found);
    }
    if (one !== undefined && !folderA && (other === undefined || folderB)) found.push({ path, difference: "only_a" });
    if (other !== undefined && !folderB && (one === undefined || folderA)) found.push({ path, difference: "only_b" });
    if (one !== undefined && other !== undefined && !folderA && !folderB) found.push({ path, difference: "different" });
  }
}

async function entriesOf({ store, tree }: Side): Promise<Map<string, { mode: number; id: string }>> {
  if (tree === EMPTY_TREE) return new Map();
  const { content } = await store.get(tree);
  return new Map(decodeTree(content).map(({ name, mode, id }) => [name, { mode, id }]));
}

async function allEvents(log: EventLog, key: SessionKey): Promise<Event[]> {
  const events: Event[] = [];
  for (;;) {
    const page = await log.read(key, events.length + 1, 500);
    events.push(...page);
    if (page.length < 500) return events;
  }
}

function lastTree(events: readonly Event[]): string {
  for (const { body } of events.toReversed()) {
    if (body.case === "checkpointMade" || body.case === "sessionRewound") return body.value.tree;
  }
  return "";
}

function checkpoints(events: readonly Event[]): number {
  return events.filter(({ body }) => body.case === "checkpointMade").length;
}

/** Forks hold copies: the same kind at the same place with the same words. */
function commonEvents(a: readonly Event[], b: readonly Event[]): number {
  const said = ({ body }: Event): string =>
    JSON.stringify([body.case, body.value], (key, value: unknown) =>
      typeof value === "bigint" ? String(value) : key === "$unknown" ? undefined : value,
    );
  let common = 0;
  while (common < Math.min(a.length, b.length)) {
    const [one, other] = [a[common], b[common]];
    if (one === undefined || other === undefined || said(one) !== said(other)) break;
    common += 1;
  }
  return common;
}

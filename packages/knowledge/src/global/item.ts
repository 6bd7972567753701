import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { FeedbackKind, type Knowledge, KnowledgeSchema, KnowledgeState, type Operation } from "@guildhall/protocol";

import { compareOperations, writtenAt } from "./hybrid-clock.ts";

/** What was done with an item: it never changes what the item says. */
export interface Use {
  kind: FeedbackKind;
  /** Pseudonym of the session, the same for all its uses. */
  session: string;
  role: string;
  project: string;
  at: number;
}

/** One item as a fold of its operations, in the one order: the same whatever order they came in. */
export interface Item {
  readonly id: string;
  /** Operations that wrote versions, oldest first: the version number is the place, from 1. */
  readonly puts: readonly Operation[];
  /** Milliseconds; undefined: it is not. A forgotten item stays so whatever another replica wrote meanwhile, until it is restored. */
  readonly forgottenAt: number | undefined;
  /** Pruned; ended by a restoration, a new version or a use. */
  readonly coldAt: number | undefined;
  readonly pinned: boolean;
  readonly uses: readonly Use[];
}

/** Folds an item's operations; `until`: only those written up to then, milliseconds. Undefined when nothing was written yet. */
export function foldItem(id: string, operations: readonly Operation[], until = Infinity): Item | undefined {
  const puts: Operation[] = [];
  const uses: Use[] = [];
  let forgottenAt: number | undefined;
  let coldAt: number | undefined;
  let pinned = false;
  for (const operation of operations.toSorted(compareOperations)) {
    const at = writtenAt(operation);
    if (at > until) break;
    const { change } = operation;
    switch (change.case) {
      case "put":
        puts.push(operation);
        coldAt = undefined;
        if (puts.length === 1 || change.value.pinned) pinned = change.value.pinned;
        break;
      case "forget":
        forgottenAt = at;
        break;
      case "restore":
        forgottenAt = undefined;
        coldAt = undefined;
        break;
      case "prune":
        coldAt = at;
        break;
      case "feedback": {
        const { kind, sessionId, role, project } = change.value;
        if (kind === FeedbackKind.PINNED) pinned = true;
        else if (kind === FeedbackKind.UNPINNED) pinned = false;
        else uses.push({ kind, session: sessionId, role, project, at });
        if (kind === FeedbackKind.USED || kind === FeedbackKind.CONFIRMED || kind === FeedbackKind.PINNED) coldAt = undefined;
        break;
      }
      default:
        break;
    }
  }
  // Copies have no room to grow: most items have one version, and there is one of these for each.
  return puts.length === 0 ? undefined : { id, puts: puts.slice(), forgottenAt, coldAt, pinned, uses: uses.slice() };
}

/** The operation that wrote the present version. */
export function presentPut(item: Item): Operation {
  return item.puts.at(-1) as Operation;
}

/** A version as people see it. `superseded`: whether the operation with that id has lost a conflict. `number` from 1; default: the present one. */
export function versionOf(item: Item, superseded: (operation: string) => boolean, number = item.puts.length): Knowledge | undefined {
  const put = item.puts[number - 1];
  if (put?.change.case !== "put") return undefined;
  const next = item.puts[number];
  const version = clone(KnowledgeSchema, put.change.value);
  const present = next === undefined;
  return create(KnowledgeSchema, {
    ...version,
    id: item.id,
    version: number,
    pinned: item.pinned,
    state: present ? stateOf(item, superseded(put.id)) : KnowledgeState.SUPERSEDED,
    recordedFrom: timestampFromMs(writtenAt(put)),
    ...(next === undefined ? {} : { recordedTo: timestampFromMs(writtenAt(next)) }),
  });
}

function stateOf(item: Item, superseded: boolean): KnowledgeState {
  if (item.forgottenAt !== undefined) return KnowledgeState.FORGOTTEN;
  if (superseded) return KnowledgeState.SUPERSEDED;
  return item.coldAt === undefined ? KnowledgeState.VALID : KnowledgeState.COLD;
}

/** Whether it holds in the world at that moment, by what is written of it. */
export function holdsAt(knowledge: Knowledge, at: number): boolean {
  const from = knowledge.validFrom === undefined ? -Infinity : timestampMs(knowledge.validFrom);
  const to = knowledge.validTo === undefined ? Infinity : timestampMs(knowledge.validTo);
  return from <= at && at < to;
}

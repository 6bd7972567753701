import { join } from "node:path";

import { type CheckpointStore, type EventLog, GuildError } from "@guildhall/core";

import type { TaskRecord } from "../storage/task-store.ts";
import { firstTree, lastTree } from "./last-tree.ts";

export interface TaskResultDeps {
  log: EventLog;
  checkpoints(workspace: string): Promise<CheckpointStore>;
  dataDir: string;
}

/** A piece of a task's result; trees and files come in the first. */
export interface ResultPart {
  fromTree: string;
  tree: string;
  files: Array<{ path: string; change: string }>;
  patch: Uint8Array;
}

/**
 * What a task's session has changed between its first checkpoint and its last, wherever it ran. Throws `failed_precondition` for a task that has no
 * checkpoint yet.
 */
export async function* taskResult(deps: TaskResultDeps, task: TaskRecord): AsyncGenerator<ResultPart> {
  const key = { tenant: task.tenant, session: task.session ?? "" };
  const [fromTree, tree] = task.session === undefined ? ["", ""] : [await firstTree(deps.log, key), await lastTree(deps.log, key)];
  if (tree === "")
    throw new GuildError("failed_precondition", "the task has no result yet", {
      subject: task.id,
      remedy: "wait until it has taken a step: guild task show",
    });
  const { workspace } = await deps.log.getSession(key);
  const store = await deps.checkpoints(workspace);
  const { diffTrees, writePatch } = await import("@guildhall/sandbox");
  const changes = await diffTrees(store, fromTree, tree);
  const files = changes.map(({ path, change }) => ({ path, change }));
  yield { fromTree, tree, files: files.slice(0, page), patch: NOTHING };
  for (let at = page; at < files.length; at += page) yield { ...EMPTY, files: files.slice(at, at + page) };
  for await (const patch of writePatch(store, changes, join(deps.dataDir, "results", "temporary"))) yield { ...EMPTY, patch };
}

const page = 5_000;
const NOTHING = new Uint8Array();
const EMPTY: ResultPart = { fromTree: "", tree: "", files: [], patch: NOTHING };

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { type CheckpointStore, type EventLog, GuildError, type SessionKey, type SessionRecord } from "@guildhall/core";
import type { FileDifference } from "@guildhall/sandbox";

import { checkWorkspace } from "../worker/workspace.ts";
import { AppliedVersions } from "./applied-versions.ts";
import type { HeldFiles } from "./held-files.ts";
import { expireKept, forgetKept, keptVersions, placeForKept } from "./kept-versions.ts";
import type { ReviewCopies } from "./review-copies.ts";

export interface SessionResultsDeps {
  log: EventLog;
  checkpointStore(workspace: string): Promise<CheckpointStore>;
  held: HeldFiles;
  /** Data of sessions' results. */
  directory: string;
  copies: ReviewCopies;
  isRunning(session: string): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Closes what a resting session keeps open. */
  rest(session: string): Promise<void>;
}

/** A change of a session, and how far it is. */
export interface ResultChange extends FileDifference {
  held: boolean;
  applied: boolean;
}

/** What sessions have changed between their first checkpoint and their last, and the way of that into the workspace. */
export class SessionResults {
  readonly #deps: SessionResultsDeps;

  constructor(deps: SessionResultsDeps) {
    this.#deps = deps;
  }

  /** `paths`: relative files or directories; none: all. */
  async diff(key: SessionKey, paths: readonly string[]): Promise<{ apply: "direct" | "review"; changes: ResultChange[]; diff: string }> {
    const { apply, store, changes } = await this.#changes(key, paths);
    const { showChanges } = await import("@guildhall/sandbox");
    return { apply, changes, diff: await showChanges(store, changes, join(this.#deps.directory, "temporary")) };
  }

  /** Versions of the session's that lost when they were applied, since the person had changed the file too; until they are discarded, or a month old. */
  kept(key: SessionKey): Promise<Array<{ path: string; kept: string }>> {
    return keptVersions(this.#deps.directory, key.session);
  }

  /** What was set aside, alone: costs nothing where nothing was. */
  async held(key: SessionKey): Promise<{ changes: ResultChange[]; diff: string }> {
    if ((await this.#deps.held.list(key.session)).length === 0) return { changes: [], diff: "" };
    const { workspace } = await this.#deps.log.getSession(key);
    const store = await this.#deps.checkpointStore(workspace);
    const changes = (await this.#held(key, store)).toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const { showChanges } = await import("@guildhall/sandbox");
    return { changes, diff: await showChanges(store, changes, join(this.#deps.directory, "temporary")) };
  }

  /** Throws `failed_precondition` while the session runs, or when there is nothing to apply. */
  async apply(key: SessionKey, paths: readonly string[]): Promise<{ applied: string[]; conflicts: Array<{ path: string; kept: string }> }> {
    this.#refuseRunning(key);
    const { record, store, apply, changes, versions } = await this.#changes(key, paths);
    const wanted = changes.filter((change) => !change.applied);
    const [first] = paths;
    if (wanted.length === 0 && first !== undefined) {
      throw new GuildError("not_found", "the session has no change there that is not applied", {
        subject: first,
        remedy: `guild session diff ${key.session} lists what there is`,
      });
    }
    const { applyChanges } = await import("@guildhall/sandbox");
    await expireKept(this.#deps.directory, this.#deps.now());
    const result = await applyChanges({
      store,
      workspace: checkWorkspace(record.workspace),
      changes: wanted,
      keep: placeForKept(this.#deps.directory, key.session, this.#deps.now()),
      temporary: join(this.#deps.directory, "temporary"),
    });
    await versions.add(result.applied);
    const done = new Set(result.applied.map(({ path }) => path));
    for (const change of wanted) {
      if (!change.held || !done.has(change.path)) continue;
      this.#deps.held.approve(key.session, change.path, change.to?.id ?? "");
      await this.#deps.held.release(key.session, change.path);
    }
    if (apply === "review" && result.conflicts.length === 0) {
      const left = paths.length === 0 ? [] : (await this.#changes(key, [])).changes.filter((change) => !change.applied);
      if (left.length === 0) await this.#settle(record, versions);
    }
    return {
      applied: [...done],
      conflicts: result.conflicts.map(({ path, kept }) => ({ path, kept: kept ?? "" })),
    };
  }

  /**
   * Has `bring` take what the session changed in its copy to where its work was wanted; it returns what it could not bring. Nothing is brought
   * twice. `brought`: all that is there by now. Throws `failed_precondition` while the session runs.
   */
  async merge(
    key: SessionKey,
    bring: (store: CheckpointStore, changes: readonly FileDifference[]) => Promise<Array<{ path: string; why: string }>>,
  ): Promise<{ brought: string[]; conflicts: Array<{ path: string; why: string }>; diff: string }> {
    this.#refuseRunning(key);
    const { store, changes, versions } = await this.#changes(key, []);
    const open = changes.filter((change) => !change.applied && !change.held);
    const conflicts = await bring(store, open);
    const failed = new Set(conflicts.map(({ path }) => path));
    const brought = open.filter(({ path }) => !failed.has(path));
    if (brought.length > 0) await versions.add(brought);
    const { showChanges } = await import("@guildhall/sandbox");
    const lost = open.filter(({ path }) => failed.has(path));
    return {
      brought: changes.filter(({ path, held }) => !held && !failed.has(path)).map(({ path }) => path),
      conflicts,
      diff: await showChanges(store, lost, join(this.#deps.directory, "temporary")),
    };
  }

  /** Removes the copy in which the session worked, when there is one and all that was changed in it is applied. */
  async tidy(key: SessionKey): Promise<void> {
    if (this.#deps.isRunning(key.session) || !this.#deps.copies.has(key.session)) return;
    const { record, apply, changes, versions } = await this.#changes(key, []);
    if (apply === "review" && changes.every((change) => change.applied)) await this.#settle(record, versions);
  }

  /** Gives up what has not been applied; returns the paths. Throws `failed_precondition` while the session runs. */
  async discard(key: SessionKey): Promise<string[]> {
    this.#refuseRunning(key);
    const { record, apply, changes, versions } = await this.#changes(key, []);
    const open = changes.filter((change) => !change.applied);
    for (const change of open) if (change.held) await this.#deps.held.release(key.session, change.path);
    await forgetKept(this.#deps.directory, key.session);
    if (apply === "review") await this.#settle(record, versions);
    return open.map(({ path }) => path);
  }

  /** The copy has served; a session that goes on begins with the workspace as it is then. */
  async #settle(record: SessionRecord, versions: AppliedVersions): Promise<void> {
    await this.#deps.rest(record.session);
    await versions.settle(record.lastSeq);
    await this.#deps.copies.remove(record.session);
  }

  #refuseRunning(key: SessionKey): void {
    if (!this.#deps.isRunning(key.session)) return;
    throw new GuildError("failed_precondition", "the session is running", {
      subject: key.session,
      remedy: `wait for its end, or stop it: guild session interrupt ${key.session}`,
    });
  }

  async #held(key: SessionKey, store: CheckpointStore): Promise<ResultChange[]> {
    const { held } = this.#deps;
    const { gitObjectId, GIT_FILE, GIT_EXECUTABLE } = await import("@guildhall/core");
    const changes: ResultChange[] = [];
    for (const { path, file } of await held.list(key.session)) {
      const content = await readFile(file);
      const id = gitObjectId("blob", content);
      await store.put([{ id, kind: "blob", content }]);
      const mode = (await held.isProgram(file)) ? GIT_EXECUTABLE : GIT_FILE;
      const from = await held.onto(key.session, path);
      changes.push({ path, change: from === undefined ? "added" : "modified", from, to: { mode, id }, held: true, applied: false });
    }
    return changes;
  }

  async #changes(
    key: SessionKey,
    paths: readonly string[],
  ): Promise<{
    record: SessionRecord;
    apply: "direct" | "review";
    store: CheckpointStore;
    changes: ResultChange[];
    versions: AppliedVersions;
  }> {
    const { log, directory } = this.#deps;
    const record = await log.getSession(key);
    const versions = await AppliedVersions.open(join(directory, key.session));
    const { apply, first, last } = await checkpointsOf(log, record, versions.settled);
    const store = await this.#deps.checkpointStore(record.workspace);
    const { diffTrees } = await import("@guildhall/sandbox");
    const between = first === undefined || last === undefined ? [] : await diffTrees(store, first, last);
    const changes = between.map((change): ResultChange => {
      // What was applied before is what the person's file is compared with now.
      const before = versions.of(change.path);
      const from = before === undefined ? change.from : before.version;
      const same = from?.id === change.to?.id && from?.mode === change.to?.mode;
      return { ...change, from: same ? change.from : from, held: false, applied: apply === "direct" || same };
    });
    changes.push(...(await this.#held(key, store)));
    const wanted = (path: string): boolean => paths.length === 0 || paths.some((one) => isWithin(path, one));
    return {
      record,
      apply,
      store,
      versions,
      changes: changes.filter(({ path }) => wanted(path)).toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    };
  }
}

/**
 * The trees of a session's first checkpoint (behind what is settled) and its last, and how its results are applied. Where work went on in a new
 * copy, that copy's own first checkpoint, made before any action, is the first; there is none when it was as the last one before.
 */
async function checkpointsOf(
  log: EventLog,
  record: SessionRecord,
  settled: number,
): Promise<{ apply: "direct" | "review"; first: string | undefined; last: string | undefined }> {
  let apply: "direct" | "review" = "direct";
  let first: string | undefined;
  let last: string | undefined;
  let open = settled === 0;
  for (let from = 1; from <= record.lastSeq;) {
    const page = await log.read(record, from, 500);
    if (page.length === 0) break;
    for (const { seq, body } of page) {
      if (!open && seq > settled && (body.case === "actionStarted" || body.case === "checkpointMade")) {
        open = true;
        first = body.case === "checkpointMade" ? body.value.tree : last;
      }
      if (body.case === "sessionStarted" && body.value.apply === "review") apply = "review";
      if (body.case === "checkpointMade" || body.case === "sessionRewound") {
        last = body.value.tree;
        if (open) first ??= last;
      }
    }
    from += page.length;
  }
  return { apply, first: open ? first : last, last };
}

function isWithin(path: string, place: string): boolean {
  const directory = place.replace(/^\.\//, "").replace(/\/+$/, "");
  return directory === "" || directory === "." || path === directory || path.startsWith(`${directory}/`);
}

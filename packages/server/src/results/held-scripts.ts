import {
  type CheckpointStore,
  gitObjectId,
  GuildError,
  isBelow,
  isManifest,
  newInstallScripts,
  type Sandbox,
  withInstallScripts,
} from "@guildhall/core";

import type { HeldFiles } from "./held-files.ts";

export interface HeldScriptsOptions {
  session: string;
  sandbox: Sandbox;
  held: HeldFiles;
  /** Where checkpoints of the workspace are. */
  store(): Promise<CheckpointStore>;
  /** Paths that the operator lets agents write all the same. */
  unprotected: readonly string[];
}

/**
 * Of a manifest, what package managers run unasked: a step that adds or alters such a script keeps all else that it has written, and the
 * manifest with the script is set aside.
 */
export class HeldScripts {
  readonly #options: HeldScriptsOptions;
  /** The last text of each that a package manager could read. */
  readonly #readable = new Map<string, string>();

  constructor(options: HeldScriptsOptions) {
    this.#options = options;
  }

  /** A person has changed these himself: what they were before says nothing any more. */
  forget(paths: Iterable<string>): void {
    for (const path of paths) this.#readable.delete(path);
  }

  /** `changed`: paths that differ between the trees. True: a file was changed. */
  async settle(changed: readonly string[], before: string, after: string): Promise<boolean> {
    const wanted = new Set(changed.filter((path) => isManifest(path) && !isBelow(path, this.#options.unprotected)));
    if (wanted.size === 0) return false;
    const store = await this.#options.store();
    const { diffTrees } = await import("@guildhall/sandbox");
    let written = false;
    for (const { path, from, to } of await diffTrees(store, before, after)) {
      if (!wanted.has(path) || to === undefined) continue;
      const former = this.#readable.get(path) ?? (from === undefined ? "" : await textOf(store, from.id));
      if (await this.#settleOne(path, former, await textOf(store, to.id), to.mode)) written = true;
    }
    return written;
  }

  async #settleOne(path: string, former: string, now: string, mode: number): Promise<boolean> {
    const { session, sandbox, held } = this.#options;
    const onto = (text: string): { mode: number; id: string } => ({ mode, id: gitObjectId("blob", Buffer.from(text)) });
    const added = held.isApproved(session, path, Buffer.from(now)) ? [] : newInstallScripts(former, now);
    if (added === undefined) {
      this.#readable.set(path, former);
      return false;
    }
    this.#readable.set(path, now);
    const waiting = await held.textOf(session, path);
    if (added.length === 0) {
      // What waits for a person is this file with those scripts.
      if (waiting !== undefined) await held.hold(session, path, Buffer.from(withInstallScripts(now, waiting)), false, onto(now));
      return false;
    }
    const safe = withInstallScripts(now, former);
    try {
      await sandbox.files.write(path, Buffer.from(safe));
    } catch (error) {
      // Gone again, or something that still runs got in the way: the next checkpoint looks once more.
      if (!GuildError.is(error)) throw error;
      this.#readable.set(path, former);
      return false;
    }
    this.#readable.set(path, safe);
    await held.hold(session, path, Buffer.from(now), false, onto(safe));
    held.tell(
      session,
      `In ${path}, ${added.join(", ")} ${added.length === 1 ? "was" : "were"} set aside: programs of the person's own would run it unasked; the rest of the file is as you wrote it. A person can put it in place with guild session apply ${session} --paths ${path}; go on without it.`,
    );
    return true;
  }
}

async function textOf(store: CheckpointStore, id: string): Promise<string> {
  return Buffer.from((await store.get(id)).content).toString("utf8");
}

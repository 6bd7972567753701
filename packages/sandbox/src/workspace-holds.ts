import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";

import { GuildError, type Sandbox, type SandboxConflict } from "@guildhall/core";

import type { Guard } from "./bubblewrap/git-guard.ts";
import { GuardWatch } from "./bubblewrap/guard-watch.ts";
import { disarmPlaces, disarmRepositories, knownConfigurations, mendRepositories } from "./bubblewrap/nested-repositories.ts";
import { QuietLook } from "./bubblewrap/quiet-look.ts";
import { WorkspaceGuards } from "./bubblewrap/workspace-guards.ts";
import type { ManagedCopy } from "./managed-copy/managed-copy.ts";
import { WorkspaceCopies } from "./managed-copy/workspace-copies.ts";
import { type OpenHold, OpenHolds } from "./open-holds.ts";

/** File systems count time in ticks: what was made just before counts as made since. */
const CLOCK_TICK_MS = 50;

interface Ids {
  uid: number;
  gid: number;
}

/** A workspace as one sandbox has it, until `release`. */
export interface HeldWorkspace {
  guard: Guard;
  /** Copies that the sandbox works on, of the workspace and then of each directory of `guard.outside`; empty: it has the trees themselves. */
  copies: readonly ManagedCopy[];
  settle(): Promise<SandboxConflict[]>;
  /** `Sandbox.brought`, of the workspace. */
  brought(): readonly string[];
  /** `Sandbox.disarm`; what is not seen that way, in directories that are ignored, is looked for a little later. */
  disarm(places: readonly string[], found: "before" | "since"): Promise<string[]>;
  /**
   * Ends the sandbox when the host replaces something that is guarded in it: the mount that guarded it is then gone. Throws `unavailable`, the
   * sandbox disposed of, when that has happened already.
   */
  endWith(sandbox: Sandbox): Promise<void>;
  /** Brings home what was written in copies and gives the workspace free; after the last process of the sandbox has gone. Idempotent. */
  release(): Promise<void>;
}

/** What sandboxes of one provider hold of workspaces: guards, watches over them, copies. */
export class WorkspaceHolds {
  readonly #guards = new WorkspaceGuards();
  readonly #copies: WorkspaceCopies;
  readonly #later = new QuietLook();
  readonly #open: OpenHolds;

  constructor(stateDir: string) {
    this.#copies = new WorkspaceCopies(join(stateDir, "copies"));
    this.#open = new OpenHolds(join(stateDir, "holds"));
  }

  /**
   * `copy`: whom copies are to belong to; undefined: the sandbox gets the workspace itself. `writable`: as in the spec. What a process that was
   * killed held is put in order first, here and elsewhere. Throws as `guardWorkspace` and `ManagedCopy.create` do.
   */
  async hold(
    workspace: Ids & { path: string },
    options: { readOnly: readonly string[]; writable: readonly string[]; asRoot: boolean; copy: Ids | undefined },
  ): Promise<HeldWorkspace> {
    await this.#open.recover(workspace.path, (left) => this.#mend(left, options.asRoot));
    const began = Date.now() - CLOCK_TICK_MS;
    const guard = await this.#guards.enter(workspace.path, options, workspace);
    const known = await knownConfigurations(guarded(guard));
    const copies: ManagedCopy[] = [];
    let opened: Sandbox | undefined;
    let replaced: string | undefined;
    const end = (path: string): void => {
      replaced = path;
      // Whoever uses it learns of its end through `gone`; what fails while it is taken down, dispose says to its next caller.
      opened?.dispose().catch(() => undefined);
    };
    // On a copy nothing that the host replaces is mounted.
    const paths = guard.paths.map(({ path }) => path);
    const watching = options.copy === undefined ? new GuardWatch(paths, end) : undefined;
    let releasing: Promise<void> | undefined;
    const old = new Set<string>();
    const here = guarded(guard);
    /** The trees that the sandbox or a person may see, whom they belong to, and which repositories in them nobody could write. */
    const trees = async (): Promise<Array<{ root: string; owner: Ids; but: ReadonlySet<string> }>> => {
      const original = { root: workspace.path, owner: workspace, but: here };
      const [copy] = copies;
      if (copy === undefined || options.copy === undefined) return [original];
      const root = await realpath(copy.path);
      const but = new Set([...here].map((path) => join(root, relative(workspace.path, path))));
      return [{ root, owner: options.copy, but }, original];
    };
    /** What a look at everything has changed since it was last told. */
    const untold = new Set<string>();
    const disarmed = async (places: readonly string[], found: "before" | "since"): Promise<string[]> => {
      if (found === "before") for (const place of places) old.add(place);
      const changed = new Set(untold);
      untold.clear();
      for (const { root, owner, but } of await trees()) {
        const within = places.map((place) => join(root, place));
        const known = new Set([...old].map((place) => join(root, place)));
        for (const path of await disarmPlaces(root, within, { since: began, but, owner, old: known })) changed.add(relative(root, path));
      }
      this.#later.after(workspace.path, async () => {
        for (const { root, owner, but } of await trees()) {
          for (const path of await disarmRepositories(root, { since: began, but, owner })) untold.add(relative(root, path));
        }
      });
      return [...changed];
    };
    let closed: (() => Promise<void>) | undefined;
    const giveBack = async (): Promise<void> => {
      watching?.close();
      await this.#later.drop(workspace.path);
      try {
        if (replaced !== undefined) await mendRepositories(known, { since: began, owner: workspace });
        for (const copy of copies) await this.#copies.finish(copy);
      } finally {
        await this.#guards.leave(workspace.path, async (since) => {
          if (opened !== undefined) await disarmRepositories(workspace.path, { since, but: here, owner: workspace });
        });
      }
      await closed?.();
    };
    const release = (): Promise<void> => (releasing ??= giveBack());
    try {
      const roots = [workspace.path, ...guard.outside];
      if (options.asRoot) for (const root of roots) await this.#copies.recover(root);
      if (options.copy !== undefined) {
        const kept = guard.paths.filter(({ mount }) => mount === "read").map(({ path }) => path);
        for (const root of roots) copies.push(await this.#copies.create(root, { original: workspace, copy: options.copy }, kept));
      }
      const { uid, gid } = workspace;
      closed = await this.#open.open({ workspace: workspace.path, owner: { uid, gid }, began, guarded: [...here] });
    } catch (error) {
      await release();
      throw error;
    }
    return {
      guard,
      copies,
      disarm: disarmed,
      settle: async () => (await Promise.all(copies.map((copy) => copy.settle()))).flat(),
      brought: () => copies[0]?.brought() ?? [],
      endWith: async (sandbox) => {
        opened = sandbox;
        if (replaced === undefined) return;
        await sandbox.dispose();
        throw new GuildError("unavailable", `${replaced} was replaced while the sandbox started`, {
          subject: replaced,
          remedy: "try again",
        });
      },
      release,
    };
  }

  /** What `release` would have done. */
  async #mend({ workspace, owner, began, guarded: here }: OpenHold, asRoot: boolean): Promise<void> {
    if (asRoot) await this.#copies.recover(workspace);
    await disarmRepositories(workspace, { since: began, but: new Set(here), owner });
  }
}

/** Repositories whose configuration the sandbox could not write. */
function guarded(guard: Guard): Set<string> {
  return new Set(guard.paths.filter(({ path, mount }) => mount === "read" && basename(path) === "config").map(({ path }) => dirname(path)));
}

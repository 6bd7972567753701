import { type Guard, type GuardedPaths, guardWorkspace, removePlaceholders } from "./git-guard.ts";

interface Shared {
  sandboxes: number;
  /** Guarding and removing of one workspace, one after the other: a placeholder must not go while somebody counts on it. */
  turn: Promise<unknown>;
  placeholders: Set<string>;
  /** When the first of them came, milliseconds. */
  since: number;
}

/** File systems count time in ticks: what was made just before counts as made since. */
const CLOCK_TICK_MS = 50;

/** Guards of workspaces that several sandboxes of one provider share: the last one that leaves removes what was made only for mounts. */
export class WorkspaceGuards {
  readonly #shared = new Map<string, Shared>();

  /** `guardWorkspace`, whose findings stay good until the `leave` that must follow; not after an error. */
  async enter(workspace: string, paths: GuardedPaths, owner: { uid: number; gid: number }): Promise<Guard> {
    const shared = this.#shared.get(workspace) ?? {
      sandboxes: 0,
      turn: Promise.resolve(),
      placeholders: new Set(),
      since: Date.now() - CLOCK_TICK_MS,
    };
    this.#shared.set(workspace, shared);
    shared.sandboxes += 1; // before anything is waited for: who leaves meanwhile sees us
    try {
      return await inTurn(shared, async () => {
        const guard = await guardWorkspace(workspace, paths, owner);
        for (const path of guard.placeholders) shared.placeholders.add(path);
        return guard;
      });
    } catch (error) {
      await this.leave(workspace);
      throw error;
    }
  }

  /** `last`: done when no other sandbox is left in the workspace, before anybody else may enter; is told when the first of them came. */
  async leave(workspace: string, last?: (since: number) => Promise<void>): Promise<void> {
    const shared = this.#shared.get(workspace);
    if (shared === undefined) return;
    shared.sandboxes -= 1;
    await inTurn(shared, async () => {
      if (shared.sandboxes > 0) return;
      try {
        await last?.(shared.since);
      } finally {
        await removePlaceholders([...shared.placeholders]);
        shared.placeholders.clear();
      }
      if (shared.sandboxes === 0 && this.#shared.get(workspace) === shared) this.#shared.delete(workspace);
    });
  }
}

function inTurn<T>(shared: Shared, work: () => Promise<T>): Promise<T> {
  const done = shared.turn.then(work);
  shared.turn = done.catch(() => {}); // told to whoever waits for `done`
  return done;
}

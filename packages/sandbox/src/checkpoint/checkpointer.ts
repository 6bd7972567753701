import { type Checkpoint, type Checkpointer, type CheckpointStore, type Sandbox, type TreeChange } from "@guildhall/core";

import { FileIntake } from "./file-intake.ts";
import { KnownWorkspace } from "./known-workspace.ts";
import { ObjectSink } from "./object-sink.ts";
import { planRestore } from "./restore-plan.ts";
import { applyRestore } from "./restore.ts";
import { DEFAULT_CHECKPOINT_RULES, type CheckpointRules } from "./rules.ts";
import { StateFile } from "./state-file.ts";
import { readGitFacts } from "./tracked-files.ts";
import { diffTrees } from "./tree-diff.ts";
import { scanAll, scanPaths } from "./workspace-scan.ts";

export interface CheckpointerOptions {
  /** Whose workspace; all access to it goes through `files` and `changes`. */
  sandbox: Sandbox;
  store: CheckpointStore;
  /** Where what is known of the workspace is kept between sessions; outside the workspace. */
  stateDir: string;
  rules?: Partial<CheckpointRules>;
  /** Wall clock, milliseconds: what file times are compared with. */
  now?: () => number;
}

/**
 * Snapshots of the sandbox's workspace in git's format. The first capture of a session compares the times of all files with those of the last session; later
 * ones look only at what the sandbox's tracker names. Captures and restores run one after the other. One checkpointer a sandbox: a tracker tells
 * of a change once.
 *
 * Not seen before the next session: writes through a memory map after its file was closed, and writes through a further name of a file that lies
 * outside of what is covered or was made and removed between two captures.
 */
export function createCheckpointer(options: CheckpointerOptions): Checkpointer {
  return new WorkspaceCheckpointer(options);
}

class WorkspaceCheckpointer implements Checkpointer {
  readonly #sandbox: Sandbox;
  readonly #store: CheckpointStore;
  readonly #rules: CheckpointRules;
  readonly #state: StateFile;
  readonly #now: () => number;
  /** Undefined: nothing is known, or what was known is no longer to be trusted. */
  #known: KnownWorkspace | undefined;
  #tree: string | undefined;
  /** The state file tells of less than is known. */
  #unsaved = false;
  /** The repositories that were there before the sandbox did anything have been told of. */
  #disarmedOnce = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CheckpointerOptions) {
    this.#sandbox = options.sandbox;
    this.#store = options.store;
    this.#rules = { ...DEFAULT_CHECKPOINT_RULES, ...options.rules };
    this.#state = new StateFile(options.stateDir, options.sandbox.workspace);
    this.#now = options.now ?? Date.now;
  }

  capture(): Promise<Checkpoint> {
    return this.#inTurn(async () => {
      const { tree, storedBytes, known } = await this.#refresh();
      const disarmed = await this.#disarm(known);
      const { text, leftOut } = known.omissions;
      return {
        tree,
        storedBytes,
        changedFiles: known.tree.takeChanged(),
        omitted: text,
        ...(disarmed.length === 0 ? {} : { disarmed }),
        ...(leftOut.length === 0 ? {} : { leftOut }),
      };
    });
  }

  restore(tree: string): Promise<TreeChange[]> {
    return this.#inTurn(async () => {
      const { tree: present, known } = await this.#refresh();
      const plan = await planRestore(present, tree, known, this.#store, this.#sandbox.files);
      return applyRestore(plan, this.#store, this.#sandbox.files);
    });
  }

  async diff(from: string, to: string): Promise<TreeChange[]> {
    return (await diffTrees(this.#store, from, to)).map(({ path, change }) => ({ path, change }));
  }

  /** Keeps what is known for the next session. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#known !== undefined && this.#tree !== undefined && this.#unsaved) await this.#state.save(this.#tree, this.#known);
      this.#known = undefined;
    });
  }

  /** Brings what is known up to date, and the store with it. */
  async #refresh(): Promise<{ tree: string; storedBytes: number; known: KnownWorkspace }> {
    const known = await this.#trusted();
    this.#known = undefined;
    const sink = new ObjectSink(this.#store);
    const intake = new FileIntake(this.#sandbox, known.workspace, this.#rules, sink, this.#now);
    const changed = known.complete ? await this.#sandbox.changes.changes() : { overflow: true, paths: [] };
    if (!changed.overflow) await scanPaths(changed.paths, this.#sandbox, known.workspace, intake);
    else await scanAll(this.#sandbox, known.workspace, intake);
    const tree = await known.workspace.tree.encode(sink);
    await sink.flush();
    // Only now: after a failure what is known may name objects that are not stored.
    this.#known = known.workspace;
    this.#unsaved ||= this.#tree !== tree || intake.reads > 0;
    this.#tree = tree;
    if (changed.overflow && this.#unsaved) {
      await this.#state.save(tree, known.workspace);
      this.#unsaved = false;
    }
    return { tree, storedBytes: sink.storedBytes, known: known.workspace };
  }

  /** Repositories below the workspace, as far as they were touched or came into sight. */
  async #disarm({ repositories, omissions }: KnownWorkspace): Promise<string[]> {
    if (this.#sandbox.disarm === undefined) return [];
    const touched = repositories.take();
    if (touched.index) for (const path of (await readGitFacts(this.#sandbox.files)).links) repositories.linked(path);
    const places = [...new Set([...touched.places, ...repositories.take().places])];
    const found = this.#disarmedOnce ? "since" : "before";
    this.#disarmedOnce = true;
    // From now on a change in them is told, too.
    if (places.length > 0) await this.#sandbox.changes.track(places.flatMap((place) => [place, `${place}/hooks`]));
    if (places.length === 0 && !omissions.hasDirectories) return [];
    return await this.#sandbox.disarm(places, found);
  }

  /** What is known and stands in the store; `complete` when only what the tracker names can have changed since. */
  async #trusted(): Promise<{ workspace: KnownWorkspace; complete: boolean }> {
    if (this.#known !== undefined && this.#tree !== undefined && (await this.#store.has(this.#tree))) {
      return { workspace: this.#known, complete: true };
    }
    const stored = await this.#state.load();
    if (stored !== undefined && (await this.#store.has(stored.tree))) {
      this.#tree = stored.tree;
      this.#unsaved = false;
      return { workspace: stored.known, complete: false };
    }
    return { workspace: new KnownWorkspace(), complete: false };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}

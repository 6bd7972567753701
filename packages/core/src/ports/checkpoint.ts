/** Git object kinds that a checkpoint consists of. */
export type GitObjectKind = "blob" | "tree";

/**
 * Guildhall's own store of git objects, one a workspace, apart from the user's repository. Objects are named by git's SHA-1 ids, so
 * that stock git can read, compare and check them.
 */
export interface CheckpointStore {
  /** Whether the object is there; who asks may build upon it: `collect` spares it for a while. */
  has(id: string): Promise<boolean>;
  /**
   * Writes objects, those that a tree names before it or in the same call; durable when it resolves. Objects already there cost one look-up.
   * Throws `storage_full`; nothing of the call is there then, or all that it depends on.
   */
  put(objects: Array<{ id: string; kind: GitObjectKind; content: Uint8Array }>): Promise<{ storedBytes: number }>;
  /** Throws `not_found`, `corrupt`. */
  get(id: string): Promise<{ kind: GitObjectKind; content: Uint8Array }>;
  /**
   * Removes objects that are reachable neither from `roots` (tree ids) nor from a tree put or asked for within the store's period of
   * grace; returns what was freed. Where a tree is left, all that it names is left.
   */
  collect(roots: Iterable<string>): Promise<{ objects: number; bytes: number }>;
}

export interface Checkpoint {
  /** Git tree id. */
  tree: string;
  /** Files that differ from the checkpoint before. */
  changedFiles: number;
  storedBytes: number;
  /** What was left out and by which rule; empty: nothing. */
  omitted: string;
  /** Git directories below the workspace out of which was taken what git would run (`Sandbox.disarm`); absent: none. */
  disarmed?: string[];
  /** Of what was left out: what lies at protected paths, manifests of packages, and directories, which may hold such; absent: none. */
  leftOut?: readonly LeftOut[];
}

/** Something that a checkpoint does not have. */
export interface LeftOut {
  /** Relative to the workspace. */
  path: string;
  /** All below it is left out as well. */
  directory: boolean;
}

export interface TreeChange {
  /** Relative to the workspace. */
  path: string;
  change: "added" | "modified" | "deleted";
}

/**
 * Snapshots of one workspace: tracked and untracked files; ignored ones by a size-bounded rule. Never touches the user's `.git`.
 * A capture costs in proportion to what changed since the last, never to the size of the repository; the first one of a workspace reads it all.
 */
export interface Checkpointer {
  capture(): Promise<Checkpoint>;
  /** Nobody works here until `resume`: what a person changes meanwhile is not taken for an agent's. Absent: it makes no difference. */
  rest?(): Promise<void>;
  resume?(): Promise<void>;
  /** Makes the workspace equal to `tree`, for everything that checkpoints cover. Captures nothing itself: the caller does so first. */
  restore(tree: string): Promise<TreeChange[]>;
  diff(from: string, to: string): Promise<TreeChange[]>;
  close(): Promise<void>;
}

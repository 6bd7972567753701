import { IgnoreRules } from "./ignore-rules.ts";
import { NestedPlaces } from "./nested-places.ts";
import { Omissions, type OmissionReason } from "./omissions.ts";
import { TrackedFiles } from "./tracked-files.ts";
import { DirectoryNode, WorkspaceTree } from "./workspace-tree.ts";

/** All that is known of a workspace: covered files, what is left out, and the rules that decide which. */
export class KnownWorkspace {
  readonly tree: WorkspaceTree;
  readonly omissions: Omissions;
  readonly ignore = new IgnoreRules();
  readonly repositories = new NestedPlaces();
  tracked = new TrackedFiles([]);

  constructor(tree = new WorkspaceTree(), omissions = new Omissions()) {
    this.tree = tree;
    this.omissions = omissions;
  }

  /** `tracked`: ignored, but git tracks it or something below it. To be asked from the top downwards. */
  coverage(path: string, directory: boolean): "covered" | "tracked" | "ignored" {
    if (!this.isTrackedOnly(directoryOf(path)) && !this.ignore.ignores(path, directory)) return "covered";
    return (directory ? this.tracked.hasBelow(path) : this.tracked.has(path)) ? "tracked" : "ignored";
  }

  /** Whether of this directory only tracked files are covered. */
  isTrackedOnly(directory: string): boolean {
    const node = this.tree.get(directory);
    return node instanceof DirectoryNode && node.trackedOnly;
  }

  leaveOut(path: string, reason: OmissionReason): void {
    this.forget(path);
    this.omissions.set(path, reason);
  }

  /** It is not there any more. */
  forget(path: string): void {
    const node = this.tree.get(path);
    if (node instanceof DirectoryNode) {
      this.omissions.deleteBelow(path);
      this.ignore.forget(path);
    } else this.omissions.delete(path);
    if (node !== undefined) this.tree.remove(path);
  }

  /** The path that has to be looked at when this one was touched; undefined: nothing that is covered. */
  target(path: string): string | undefined {
    const names = path.split("/");
    if (path === "" || names.includes(".git")) return undefined;
    // New rules may cover or uncover anything below them.
    if (names.at(-1) === ".gitignore") names.pop();
    let at = "";
    let node: ReturnType<WorkspaceTree["get"]> = this.tree.root;
    for (const name of names) {
      if (!(node instanceof DirectoryNode)) break;
      at = joinPath(at, name);
      node = node.children.get(name);
    }
    return at !== path && this.omissions.covers(at) ? undefined : at;
  }
}

export function joinPath(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

export function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

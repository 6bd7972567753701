import { dirname } from "node:path/posix";

/** What the git directory of a repository holds, and what a change of it may make git run or take configuration from. */
const TELLING: ReadonlySet<string> = new Set(["config", "config.worktree", "commondir", "hooks", "HEAD", "objects"]);

/**
 * Places at which a repository below the workspace may have been made or changed since they were last taken: `sub/.git`, or a directory that
 * may be a git directory itself. Costs nothing while nothing of the kind is touched.
 */
export class NestedPlaces {
  readonly #places = new Set<string>();
  #index = false;

  /** A path that was touched, relative. */
  touched(path: string): void {
    const names = path.split("/");
    const git = names.indexOf(".git");
    if (git > 0) this.#places.add(names.slice(0, git + 1).join("/"));
    else if (git === 0) this.#index ||= path === ".git/index";
    else if (names.length > 1 && TELLING.has(names.at(-1) ?? "")) this.#places.add(dirname(path));
    else if (names.length > 2 && names.at(-2) === "hooks") this.#places.add(dirname(dirname(path)));
  }

  /** What lies in a directory. */
  listed(directory: string, has: (name: string) => boolean): void {
    if (directory !== "" && has(".git")) this.#places.add(`${directory}/.git`);
    if (directory !== "" && has("config") && (has("objects") || has("commondir"))) this.#places.add(directory);
  }

  /** A place that git itself looks into, as the index says. */
  linked(path: string): void {
    this.#places.add(`${path}/.git`);
  }

  /** `index`: that of the workspace's own repository was written. */
  take(): { places: string[]; index: boolean } {
    const taken = { places: [...this.#places], index: this.#index };
    this.#places.clear();
    this.#index = false;
    return taken;
  }
}

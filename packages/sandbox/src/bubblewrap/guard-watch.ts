import { type FSWatcher, lstatSync, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** What a path led to when the watch began; undefined: nothing. */
type Identity = string | undefined;

/**
 * Watches guarded paths from the host. The kernel detaches a mount in every namespace when its mount point is replaced or removed from
 * another one, as `git config` on the host does with `.git/config`: from then on the sandbox could write there. The caller has to end it.
 * Begin before the mounts are made, so that nothing can happen unseen in between.
 */
export class GuardWatch {
  readonly #watchers: FSWatcher[] = [];
  #closed = false;

  /** `replaced` is called once, with the first path that no longer leads where it did. */
  constructor(paths: readonly string[], replaced: (path: string) => void) {
    const before = new Map(paths.map((path) => [path, identityOf(path)]));
    const look = (path: string): void => {
      if (this.#closed || identityOf(path) === before.get(path)) return;
      this.close();
      replaced(path);
    };
    for (const [directory, own] of Map.groupBy(paths, dirname)) {
      const names = new Map(own.map((path) => [basename(path), path]));
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        const path = name === null ? undefined : names.get(name);
        if (path !== undefined) look(path);
        else if (name === null) for (const each of own) look(each);
      });
      // The directory itself is gone: so are the guards in it.
      watcher.on("error", () => {
        for (const each of own) look(each);
      });
      this.#watchers.push(watcher);
    }
  }

  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }
}

function identityOf(path: string): Identity {
  const found = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}

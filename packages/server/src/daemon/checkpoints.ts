import { createHash } from "node:crypto";
import { join } from "node:path";

import type { CheckpointStore } from "@guildhall/core";

/** The checkpoint stores of this daemon, one a workspace, each opened once. */
export interface CheckpointStores {
  open(workspace: string): Promise<CheckpointStore>;
  close(): Promise<void>;
}

/** `shared`: the stores of a database that several processes use; without it they are files below `directory`. */
export function createCheckpointStores(directory: string, shared?: (workspace: string) => CheckpointStore): CheckpointStores {
  if (shared !== undefined) return { open: async (workspace) => shared(workspace), close: async () => undefined };
  const stores = new Map<string, Promise<CheckpointStore & { close(): Promise<void> }>>();
  return {
    open(workspace) {
      const known = stores.get(workspace);
      if (known !== undefined) return known;
      const name = createHash("sha256").update(workspace).digest("hex").slice(0, 32);
      const opening = import("@guildhall/sandbox").then(({ FileCheckpointStore }) => FileCheckpointStore.open(join(directory, name)));
      stores.set(workspace, opening);
      // A store that could not be opened is tried again the next time.
      opening.catch(() => stores.delete(workspace));
      return opening;
    },
    async close() {
      const opened = await Promise.allSettled(stores.values());
      stores.clear();
      for (const store of opened) if (store.status === "fulfilled") await store.value.close();
    },
  };
}

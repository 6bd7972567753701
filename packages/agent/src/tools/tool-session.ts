import type { BlobStore, KeptByTools, Masker, Sandbox, ToolSession } from "@guildhall/core";

export interface ToolSessionOptions {
  sandbox: Sandbox;
  blobs: BlobStore;
  masker?: Masker;
}

/** A tool session with its end: `close` closes what tools have put into it (shells, background processes), not the sandbox. */
export interface ClosableToolSession extends ToolSession {
  close(): Promise<void>;
}

export function createToolSession(options: ToolSessionOptions): ClosableToolSession {
  const values = new Map<string, KeptByTools>();
  return {
    ...options,
    get<T extends KeptByTools>(key: string, make: () => T): T {
      const present = values.get(key);
      if (present !== undefined) return present as T;
      const made = make();
      values.set(key, made);
      return made;
    },
    held() {
      const all = [...values.values()];
      return {
        what: all.flatMap((value) => value.held?.() ?? []),
        processes: all.reduce((sum, { ownProcesses = 0 }) => sum + ownProcesses, 0),
      };
    },
    async close() {
      const all = [...values.values()];
      values.clear();
      await Promise.all(all.map(async (value) => value.close?.()));
    },
  };
}

import type { BlobStore, Masker, Sandbox, ToolSession } from "@guildhall/core";

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
  const values = new Map<string, { close?(): Promise<void> }>();
  return {
    ...options,
    get<T extends { close?(): Promise<void> }>(key: string, make: () => T): T {
      const present = values.get(key);
      if (present !== undefined) return present as T;
      const made = make();
      values.set(key, made);
      return made;
    },
    async close() {
      const all = [...values.values()];
      values.clear();
      await Promise.all(all.map(async (value) => value.close?.()));
    },
  };
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openStorage, type Storage, type StorageOptions } from "../open-storage.ts";

/** Storage in a folder of its own, with whatever else a test opens there. */
export interface TemporaryStorage {
  options: StorageOptions;
  storage: Storage;
  /** Another opener, closed with the rest. */
  open(more?: Partial<StorageOptions>): Promise<Storage>;
  /** Closes everything, stops the database server and removes the folder. */
  close(): Promise<void>;
}

export async function temporaryStorage(more: Partial<StorageOptions> = {}): Promise<TemporaryStorage> {
  const root = await mkdtemp(join(tmpdir(), "guildhall-storage-"));
  const options = { dataDir: join(root, "data"), runtimeDir: join(root, "run"), ...more };
  const opened: Storage[] = [];
  const open = async (extra: Partial<StorageOptions> = {}) => {
    const storage = await openStorage({ ...options, ...extra });
    opened.push(storage);
    return storage;
  };
  const storage = await open();
  return {
    options,
    storage,
    open,
    close: async () => {
      await Promise.all(opened.map((one) => one.close()));
      await storage.stopDatabase();
      await rm(root, { recursive: true, force: true });
    },
  };
}

import type { Paths } from "@guildhall/core/paths";
import type { Settings } from "@guildhall/core/settings";

import type { StorageOptions } from "./open-storage.ts";

/** Where the settings say that everything lasting is. */
export function storagePlace({ data, runtime }: Paths, { database: { url, objects } }: Settings): StorageOptions {
  return {
    dataDir: data,
    runtimeDir: runtime,
    ...(url === "" ? {} : { databaseUrl: url }),
    ...(objects === "auto" ? {} : { objects }),
  };
}

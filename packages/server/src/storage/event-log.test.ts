import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventLogContract } from "@guildhall/core/testing";

import { openStorage } from "./open-storage.ts";

eventLogContract("PostgreSQL of our own", async () => {
  const root = await mkdtemp(join(tmpdir(), "guildhall-log-"));
  const options = { dataDir: join(root, "data"), runtimeDir: join(root, "run") };
  const storage = await openStorage(options);
  const other = await openStorage(options);
  return {
    log: storage.log,
    peer: other.log,
    close: async () => {
      await Promise.all([storage.close(), other.close()]);
      await storage.stopDatabase();
      await rm(root, { recursive: true, force: true });
    },
  };
});

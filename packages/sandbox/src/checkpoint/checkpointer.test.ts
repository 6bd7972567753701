import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { checkpointerContract } from "@guildhall/core/testing";

import { HostProvider } from "../host-provider.ts";
import { createCheckpointer } from "./checkpointer.ts";
import { FileCheckpointStore } from "./file-checkpoint-store.ts";

checkpointerContract("of a sandbox's workspace", async () => {
  const directory = await mkdtemp(join(tmpdir(), "guild-checkpoint-"));
  const provider = new HostProvider();
  const sandbox = await provider.create({ id: "sbx_checkpoint", workspace: await mkdtemp(join(directory, "workspace-")) });
  const store = await FileCheckpointStore.open(join(directory, "store"));
  const checkpointer = createCheckpointer({ sandbox, store, stateDir: join(directory, "state") });
  return {
    checkpointer,
    store,
    files: sandbox.files,
    async close() {
      await checkpointer.close();
      await store.close();
      await provider.close();
      await rm(directory, { recursive: true });
    },
  };
});

import { checkpointStoreContract } from "./checkpoint-store.contract.ts";
import { MemoryCheckpointStore } from "./checkpoint-store.ts";

checkpointStoreContract("in memory", async () => {
  const store = new MemoryCheckpointStore();
  return { store, close: () => store.close() };
});

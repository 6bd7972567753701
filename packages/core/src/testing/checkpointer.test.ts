import { MemoryCheckpointStore } from "./checkpoint-store.ts";
import { checkpointerContract } from "./checkpointer.contract.ts";
import { PlainCheckpointer } from "./checkpointer.ts";
import { MemoryFiles } from "./tool-files.ts";

checkpointerContract("the plain way", async () => {
  const files = new MemoryFiles("/workspace");
  const store = new MemoryCheckpointStore();
  const checkpointer = new PlainCheckpointer(files, store);
  return { checkpointer, store, files, close: () => checkpointer.close() };
});

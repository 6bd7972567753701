import { eventLogContract } from "./event-log.contract.ts";
import { MemoryEventLog } from "./event-log.ts";

eventLogContract("memory", async () => {
  const log = new MemoryEventLog();
  return { log, close: () => log.close() };
});

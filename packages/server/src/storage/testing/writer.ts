/** A process that stores things until a fault ends it; it tells its parent what was acknowledged. For crash.test.ts. */
import type { Lease, SessionKey } from "@guildhall/core";
import { appendNotices, freshName, message, parseFaults, ProgrammedFaults, startSession, textOf } from "@guildhall/core/testing";

import { openStorage, type StorageOptions } from "../open-storage.ts";

/** What the process is to do; sent to it as its first message. */
export interface WriterJob {
  options: StorageOptions;
  key: SessionKey;
  lease: Lease;
  faults: string;
}

process.once("message", (job: WriterJob) => {
  run(job).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});

async function run({ options, key, lease, faults }: WriterJob): Promise<void> {
  const { log, blobs } = await openStorage({ ...options, faults: new ProgrammedFaults(parseFaults(faults)) });
  let last = 1;
  for (let round = 1; round <= 5; round++) {
    const events = await appendNotices(log, lease, last, `append ${round}`, `and ${round}`);
    events.push(...(await log.appendInput(key, "person:ada", [message(`input ${round}`, freshName("msg"))])));
    last = events.at(-1)?.seq ?? last;
    for (const event of events) process.send?.([event.seq, textOf(event)]);
    await startSession(log);
    await blobs.put(Buffer.from(freshName("blob")), "text/plain");
  }
}

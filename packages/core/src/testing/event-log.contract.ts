import { after, before, describe } from "node:test";

import type { EventLog } from "../ports/event-log.ts";
import { eventLogAppendContract } from "./event-log.append.contract.ts";
import { eventLogInputContract } from "./event-log.input.contract.ts";
import { eventLogLeaseContract } from "./event-log.lease.contract.ts";
import { eventLogPropertyContract } from "./event-log.property.contract.ts";
import { eventLogSessionContract } from "./event-log.session.contract.ts";
import { eventLogWatchContract } from "./event-log.watch.contract.ts";

/** What a suite runs against. */
export interface EventLogFixture {
  log: EventLog;
  /** A second opener of the same store, in this or another process; absent where the store has only one. */
  peer?: EventLog;
  close(): Promise<void>;
}

/** Every promise of the EventLog port. `makeFixture` is called once a suite; the suites use names of their own, so the store may hold other things. */
export function eventLogContract(name: string, makeFixture: () => Promise<EventLogFixture>): void {
  describe(`${name}: event log`, () => {
    let fixture: EventLogFixture;
    let log: EventLog;
    let peer: EventLog;
    before(async () => {
      fixture = await makeFixture();
      log = fixture.log;
      peer = fixture.peer ?? fixture.log;
    });
    after(() => fixture.close());
    const logs = () => ({ log, peer });

    eventLogSessionContract(logs);
    eventLogAppendContract(logs);
    eventLogInputContract(logs);
    eventLogLeaseContract(logs);
    eventLogWatchContract(logs);
    eventLogPropertyContract(logs);
  });
}

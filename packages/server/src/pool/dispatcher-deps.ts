import type { Clock, EventLog, Ids, NewSession } from "@guildhall/core";

import type { Log } from "../daemon/log.ts";
import type { TaskRecord, TaskStore } from "../storage/task-store.ts";
import type { WorkerRows } from "../storage/worker-rows.ts";
import type { DeltaRelayHub, Elsewhere } from "./delta-relay.ts";
import type { PoolTimes } from "./pool-times.ts";
import type { Shares } from "./shares.ts";

export interface DispatcherDeps {
  tenant: string;
  store: TaskStore;
  log: EventLog;
  ids: Ids;
  clock: Clock;
  journal: Log;
  /** The session of a task that has none yet: checked, not stored. */
  draft(task: TaskRecord): Promise<NewSession>;
  /** Other orchestrators may change the rows too. */
  shared: boolean;
  /** Where those tell of their workers. */
  workers?: WorkerRows;
  /** Called when there is work; the result when there is none. */
  busy(): () => void;
  shares(): Shares;
  /** Points of priority that waiting tasks gain. */
  ageingPerMinute: number;
  /** How long one worker must be much fuller than another before sessions at work move, seconds; 0: none does. */
  rebalanceSeconds(): number;
  deltas: DeltaRelayHub;
  /** Those that share the database tell each other what is on its way. */
  elsewhere?: Elsewhere | undefined;
  times?: PoolTimes;
}

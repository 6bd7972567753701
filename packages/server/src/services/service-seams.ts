import type { ConnectRouter } from "@connectrpc/connect";
import type { Budgets, CheckpointStore, Clock, ModelProvider } from "@guildhall/core";

import type { CheckpointStores } from "../daemon/checkpoints.ts";
import type { RemoteKnowledge } from "../knowledge/remote-knowledge.ts";
import type { Pool } from "../pool/compose-pool.ts";

/** Where one of several processes differs from the daemon that is everything. */
export interface ServiceSeams {
  /** `orchestrator`: sessions are worked on by the pool; `worker`: for the pool. Default: here, for everybody. */
  role?: "orchestrator" | "worker";
  /** The time that those go by who write events. Default: this machine's. */
  clock?: Clock;
  checkpoints?: CheckpointStores;
  models?(): Promise<ModelProvider>;
  budgets?: Budgets;
  /** Where what is shared between sessions is. */
  knowledge?: RemoteKnowledge;
  /** Of sandboxes, milliseconds. A session's may be longer: who takes it over has the pool's word for it. */
  leaseMs?: number;
  /** Where credentials of sessions go. */
  lend?(session: string, credentials: Readonly<Record<string, string>>): Promise<void>;
  /** What is served besides. */
  routes?(router: ConnectRouter, parts: { pool: Pool; openCheckpoints(workspace: string): Promise<CheckpointStore> }): void;
}

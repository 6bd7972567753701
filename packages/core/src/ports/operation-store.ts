import type { Operation } from "@guildhall/protocol";

/**
 * Where a replica's operations last: an append-only log by tenant. Contract: operation-store.contract.ts.
 */
export interface OperationStore {
  /** This replica's name for the tenant; made at the first call, the same ever after. */
  replica(tenant: string): Promise<string>;
  /** Operations beyond what is known, each replica's in the order of its positions. */
  read(tenant: string, known: Readonly<Record<string, bigint>>): AsyncIterable<readonly Operation[]>;
  /**
   * Durable when it resolves: all or none. An operation that is there already (by id) is passed over. Throws `already_exists`, and stores nothing, when a position of
   * a replica is taken by another operation: somebody else writes as the same replica, so read first.
   */
  append(tenant: string, operations: readonly Operation[]): Promise<void>;
  close(): Promise<void>;
}

/** Who finds out when that the other is gone. */
export interface PoolTimes {
  /** Between a worker's signs of life, milliseconds. */
  heartbeatMs: number;
  /** A worker that hears nothing for this long ends what it works on: somebody else is about to take it. */
  fenceMs: number;
  /** Of sandboxes at workers: one whose worker is suspended kills itself after that. */
  leaseMs: number;
  /** A worker that was silent for this long is gone. Longer than the two above, so that nothing of it is left by then. */
  goneMs: number;
  /** How long an orchestrator answers for a running task without saying so again. */
  claimMs: number;
}

export const POOL_TIMES: PoolTimes = { heartbeatMs: 750, fenceMs: 3_500, leaseMs: 5_000, goneMs: 6_250, claimMs: 12_000 };

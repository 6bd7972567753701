/** What a pool of local workers may be. */
export interface PoolSize {
  /** Workers that are there even when nothing is to be done. */
  min: number;
  /** Workers at the most. */
  max: number;
  /** Slots that are kept free for what comes next, so that it does not wait for a process to start. */
  warm: number;
}

/** How many workers of `slots` slots each are wanted for what runs and waits now. Pure. */
export function desiredWorkers(load: { queued: number; running: number }, slots: number, { min, max, warm }: PoolSize): number {
  const wanted = Math.ceil((load.queued + load.running + warm) / Math.max(1, slots));
  return Math.min(Math.max(wanted, min), Math.max(min, max));
}

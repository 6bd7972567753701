/**
 * Where a run can be made to die or fail (`deps.faults.hit(name)`), in the order in which a first step meets them. Together they stand
 * before and after everything that a run does to the world.
 */
export const FAULT_POINTS = [
  /** The lease is granted, nothing was read or written. */
  "lease:acquired",
  /** A checkpoint is about to be taken, or was taken and is not in the log yet. */
  "checkpoint:before",
  "checkpoint:after",
  /** Events are about to be appended, or are durable and the run does not know it yet. */
  "append:before",
  "append:after",
  /** The model is about to be asked, or has answered and the log does not know it. */
  "model:before",
  "model:after",
  /** One call is about to run, or has run and its observation is not in the log. */
  "tool:before",
  "tool:after",
] as const;

export type FaultPoint = (typeof FAULT_POINTS)[number];

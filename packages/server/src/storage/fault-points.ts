/** Where storage can be made to die or fail (`options.faults.hit(name)`): before and after everything that lasts. */
export const STORAGE_FAULT_POINTS = [
  /** A session is about to be stored, or is stored and its creator does not know it yet. */
  "create:before",
  "create:after",
  /** An append under a lease is about to join a transaction, or is on disk and its writer does not know it yet. */
  "commit:before",
  "commit:after",
  /** The same for messages, controls and decisions. */
  "input:before",
  "input:after",
  /** A blob is about to be written, is on disk without its name, or has it and nobody knows. */
  "blob:before",
  "blob:rename",
  "blob:after",
] as const;

export type StorageFaultPoint = (typeof STORAGE_FAULT_POINTS)[number];

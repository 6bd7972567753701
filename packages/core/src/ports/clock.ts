/** Time and identity as arguments, so that a whole run can be simulated and replayed. */
export interface Clock {
  now(): Date;
  /** Milliseconds that only grow; for durations. */
  monotonic(): number;
  /** Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Ids {
  /** `<prefix>_<sortable random>`: ids of later calls sort after those of earlier ones. */
  next(prefix: "ses" | "kno" | "kop" | "call" | "apr" | "msg" | "sbx" | "wrk" | "tsk" | "grf" | "rsv"): string;
}

/** Named places where a test can make the process die or an effect fail; does nothing in production. */
export interface FaultPoints {
  hit(name: string): Promise<void> | void;
}

import type { Clock } from "@guildhall/core";

/** Time from now on, as it passes: a clock that is set meanwhile moves no deadline. */
export function steadyClock(clock: Clock): Clock {
  const [began, at] = [clock.now().getTime(), clock.monotonic()];
  return { ...clock, now: () => new Date(began + clock.monotonic() - at) };
}

import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "@guildhall/core";

/** What a service's `date` header may be off, milliseconds: it tells whole seconds, and came a while ago. */
const TOLERANCE_MS = 1_500;

/**
 * The time of the services that `observe` sees the answers of, for a process whose own clock may be wrong: what it compares with times of events
 * has to be by the clock that wrote them. Own while the two agree.
 */
export function peerClock(own: Clock): { clock: Clock; observe: Interceptor } {
  let told: { time: number; at: number } | undefined;
  const now = (): number => (told === undefined ? own.now().getTime() : told.time + own.monotonic() - told.at);
  return {
    clock: { ...own, now: () => new Date(now()) },
    observe: (next) => async (request) => {
      const response = await next(request);
      const time = Date.parse(response.header.get("date") ?? "") + 500;
      if (Math.abs(time - now()) > TOLERANCE_MS) told = { time, at: own.monotonic() };
      return response;
    },
  };
}

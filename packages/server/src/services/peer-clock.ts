import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "@guildhall/core";

/** What a service's `date` header may be off, milliseconds: it tells whole seconds, and came a while ago. */
const TOLERANCE_MS = 1_500;

/** A message may have been long on its way, and then tells an earlier time: believed once it was told for so long, milliseconds. */
const CONFIRMED_MS = 2_000;

/** Who hears what other services say of the time. */
export interface PeerTime {
  observe: Interceptor;
  /** Milliseconds since 1970. */
  tell(time: number): void;
}

/**
 * The time of the services that `observe` sees the answers of, for a process whose own clock may be wrong: what it compares with times of events
 * has to be by the clock that wrote them. Own while the two agree.
 */
export function peerClock(own: Clock): { clock: Clock } & PeerTime {
  let told: { time: number; at: number } | undefined;
  /** Since when an earlier time than ours is told. */
  let earlier: number | undefined;
  const now = (): number => (told === undefined ? own.now().getTime() : told.time + own.monotonic() - told.at);
  const tell = (time: number): void => {
    const ahead = time - now();
    const at = own.monotonic();
    if (Math.abs(ahead) <= TOLERANCE_MS) earlier = undefined;
    else if (ahead > 0 || told === undefined || (earlier !== undefined && at - earlier > CONFIRMED_MS)) told = { time, at };
    else earlier ??= at;
  };
  return {
    tell,
    clock: { ...own, now: () => new Date(now()) },
    observe: (next) => async (request) => {
      const response = await next(request);
      tell(Date.parse(response.header.get("date") ?? "") + 500);
      return response;
    },
  };
}

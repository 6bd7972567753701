import { sortableIds } from "../ids.ts";
import type { Clock, Ids } from "../ports/clock.ts";
import { seededRandom } from "./random.ts";
import { simulatedClock } from "./simulated-clock.ts";

/** Ids that are the same for the same seed and clock. */
export function seededIds(seed: number, clock: Pick<Clock, "now"> = simulatedClock()): Ids {
  const random = seededRandom(seed);
  return sortableIds(clock, (limit) => random.below(limit));
}

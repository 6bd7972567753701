import type { Item, Observation, SessionState, Window } from "./state.ts";

/** About what a masked observation takes. */
export const MASKED_BYTES = 100;
/** Shorter observations are not masked: the line in their place would save nothing. */
const SMALL_BYTES = 200;

/** Masking would make it shorter. The task list stays: nothing else reminds of it. */
export function isMaskable(observation: Observation): boolean {
  return observation.bytes > SMALL_BYTES && observation.tool !== "task_tracker";
}

/** It is shown as a line that says what was there. */
export function isMasked(window: Window, observation: Observation): boolean {
  return observation.seq <= window.maskedThrough && isMaskable(observation);
}

/** Items that condensation has left, in the order of the log. */
export function itemsInView(state: SessionState): Item[] {
  const items = state.items.toArray();
  return state.window.droppedThrough === 0 ? items : items.filter((item) => item.seq > state.window.droppedThrough);
}

/** Bytes of the history so far that `window` does not show. */
export function goneBytes(state: SessionState, window: Window): number {
  let gone = 0;
  for (const item of state.items.toArray()) {
    const dropped = item.seq <= window.droppedThrough;
    if (dropped) gone += item.bytes;
    if (item.kind !== "reply") continue;
    for (const { callId } of item.calls) {
      const observation = state.observations.find(callId);
      if (observation === undefined) continue;
      if (dropped) gone += observation.bytes;
      else if (isMasked(window, observation)) gone += observation.bytes - MASKED_BYTES;
    }
  }
  return gone;
}

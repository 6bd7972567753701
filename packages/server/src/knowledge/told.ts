import type { SessionState } from "@guildhall/core";

/** Ids of the pieces that memory notices told before go into `told`; answers with the turn in which the last one stood, empty when there was none. */
export function toldIn(state: SessionState, told: Set<string>): string {
  let last = 0;
  for (const item of state.items.toArray()) {
    if (item.kind !== "notice" || item.notice !== "memory") continue;
    last = item.seq;
    for (const [, id] of item.text.matchAll(/^- \[([^\s,\]]+),/gm)) if (id !== undefined) told.add(id);
  }
  return last > state.lastMessageSeq && last > state.window.seq ? turnOf(state) : "";
}

/** Changes when a person has spoken and when part of the history has left the view. */
export function turnOf(state: SessionState): string {
  return `${state.lastMessageSeq}/${state.window.seq}`;
}

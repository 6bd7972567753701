import { SessionStatus, TurnEndReason } from "@guildhall/protocol";

import type { SessionState } from "./state.ts";

/** What decides a session's status; a row of the log has it all but `asking`, a folded state all but `leased`. */
export interface StatusFacts {
  turnOpen: boolean;
  /** Reason of the last TurnEnded; undefined before the first. */
  endReason: TurnEndReason | undefined;
  /** A worker holds the session's lease. */
  leased: boolean;
  /** A person's decision is awaited and nothing else goes on. */
  asking?: boolean;
}

export function sessionStatus(facts: StatusFacts): SessionStatus {
  if (facts.turnOpen) {
    if (!facts.leased) return SessionStatus.ORPHANED;
    return facts.asking === true ? SessionStatus.WAITING_APPROVAL : SessionStatus.RUNNING;
  }
  switch (facts.endReason) {
    case TurnEndReason.DONE:
      return SessionStatus.DONE;
    case TurnEndReason.GAVE_UP:
      return SessionStatus.GAVE_UP;
    case TurnEndReason.LIMIT:
      return SessionStatus.LIMIT;
    case TurnEndReason.INTERRUPTED:
      return SessionStatus.INTERRUPTED;
    case TurnEndReason.PAUSED:
      return SessionStatus.PAUSED;
    case TurnEndReason.FAILED:
      return SessionStatus.FAILED;
    case TurnEndReason.NEEDS_APPROVAL:
      return SessionStatus.WAITING_APPROVAL;
    case TurnEndReason.WAITING:
    case TurnEndReason.UNSPECIFIED:
    case undefined:
      return SessionStatus.IDLE;
    default:
      // A reason of a newer version: the turn is over, more is not known.
      return SessionStatus.IDLE;
  }
}

/** The facts that a folded state knows. */
export function statusFacts(state: SessionState, leased: boolean): StatusFacts {
  const asking =
    state.open.length > 0 &&
    state.open.every((call) => call.approval !== undefined && call.started === undefined && call.approval.decision === undefined);
  return { turnOpen: state.turn.open, endReason: state.turn.end?.reason, leased, asking };
}

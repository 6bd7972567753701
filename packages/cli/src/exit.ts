import type { ErrorCode, GuildError } from "@guildhall/core";
import { TurnEndReason } from "@guildhall/protocol";

/** Exit codes of `guild`; part of its interface. */
export const exitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  limit: 3,
  needsApproval: 4,
  interrupted: 130,
} as const;

/** What a turn's end means for the exit code. A pause counts as an interrupt: a person stopped it, and it can go on. */
export function exitOfTurn(reason: TurnEndReason): number {
  switch (reason) {
    case TurnEndReason.DONE:
      return exitCode.done;
    case TurnEndReason.LIMIT:
      return exitCode.limit;
    case TurnEndReason.NEEDS_APPROVAL:
      return exitCode.needsApproval;
    case TurnEndReason.INTERRUPTED:
    case TurnEndReason.PAUSED:
      return exitCode.interrupted;
    default:
      return exitCode.failed;
  }
}

const usageCodes: ReadonlySet<ErrorCode> = new Set(["invalid_argument", "not_found", "unsupported"]);

/** What the caller got wrong is 2; what went wrong is 1. */
export function exitOfError(error: GuildError): number {
  if (error.code === "cancelled") return exitCode.interrupted;
  return usageCodes.has(error.code) ? exitCode.usage : exitCode.failed;
}

import { body, type EventLog, type SessionKey } from "@guildhall/core";
import { TurnEndReason } from "@guildhall/protocol";

/**
 * Ends the open turn of a session that nobody can work on any more; its task ends in the same statement. Where whoever worked on it never gave the lease
 * back, this one is not given back either: somebody has still to look at what was done.
 */
export async function closeTurn(
  log: EventLog,
  key: SessionKey,
  owner: string,
  summary: string,
  why: "workers_lost" | "cancelled" = "workers_lost",
): Promise<void> {
  const { leaseExpires } = await log.getSession(key);
  const lease = await log.acquireLease(key, owner, 10_000, { takeover: true });
  const { lastSeq, turnOpen } = await log.getSession(key);
  const reason = why === "cancelled" ? TurnEndReason.INTERRUPTED : TurnEndReason.FAILED;
  const end = body.turnEnded({ reason, summary, detail: why });
  if (turnOpen) await log.append({ ...key, expectedSeq: lastSeq, epoch: lease.epoch, actor: "system", events: [end] });
  if (leaseExpires === undefined) await log.releaseLease(lease);
  else await log.renewLease(lease, 1);
}

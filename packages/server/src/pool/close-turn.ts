import { body, type EventLog, type SessionKey } from "@guildhall/core";
import { TurnEndReason } from "@guildhall/protocol";

/** Ends the open turn of a session that nobody can work on any more; its task ends in the same statement. */
export async function closeTurn(
  log: EventLog,
  key: SessionKey,
  owner: string,
  summary: string,
  why: "workers_lost" | "cancelled" = "workers_lost",
): Promise<void> {
  const lease = await log.acquireLease(key, owner, 10_000, { takeover: true });
  const { lastSeq, turnOpen } = await log.getSession(key);
  const reason = why === "cancelled" ? TurnEndReason.INTERRUPTED : TurnEndReason.FAILED;
  const end = body.turnEnded({ reason, summary, detail: why });
  if (turnOpen) await log.append({ ...key, expectedSeq: lastSeq, epoch: lease.epoch, actor: "system", events: [end] });
  await log.releaseLease(lease);
}

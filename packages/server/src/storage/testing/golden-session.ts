import type { EventBody, SessionKey } from "@guildhall/core";
import { message, notice, started, turnEnd } from "@guildhall/core/testing";
import { TurnEndReason } from "@guildhall/protocol";

export const GOLDEN_KEY: SessionKey = { tenant: "local", session: "ses_golden" };
export const GOLDEN_TIME = "2026-01-02T03:04:05.000Z";

/** What the session of every golden database says. */
export function goldenBodies(): EventBody[] {
  return [started(), message("mend the test", "msg_golden"), notice("as it was"), turnEnd(TurnEndReason.DONE, "done")];
}

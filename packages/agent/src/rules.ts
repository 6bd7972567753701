import type { Approvals, EventBody, OpenCall, SessionState } from "@guildhall/core";

import type { Summarise } from "./condense.ts";
import type { prepareCall } from "./tools/index.ts";

/** What a decision depends on besides the log. */
export interface Rules {
  /** Id of the session, for the commands that a person is shown. */
  session: string;
  /** Of this worker's lease. */
  epoch: number;
  /** Milliseconds since 1970. */
  now: number;
  /** Milliseconds that the open turn was worked on. */
  activeMs(state: SessionState): number;
  /** Nobody is there to ask. */
  unattended: boolean;
  /** The worker is about to leave: begin nothing new. */
  draining: boolean;
  /** Finds a call's tool and reads its arguments. */
  prepare(call: OpenCall): ReturnType<typeof prepareCall>;
  /** The call is not to begin yet, for a reason that only a recording knows. */
  held(call: OpenCall): boolean;
  approvals: Approvals;
  /** How long a question to a person stands, milliseconds. */
  approvalTtlMs: number;
  /** The model has a price, so that a limit of money means something. */
  priceKnown: boolean;
  /** The condensation that the history calls for, if any. */
  condense(state: SessionState): EventBody | Summarise | undefined;
}

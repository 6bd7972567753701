import type {
  Approvals,
  Budgets,
  Checkpointer,
  Clock,
  EventLog,
  FaultPoints,
  Masker,
  Model,
  ModelListener,
  SessionKey,
  ToolRegistry,
  ToolSession,
} from "@guildhall/core";
import { GuildError } from "@guildhall/core";
import type { TurnEnded } from "@guildhall/protocol";

/** What a run tells those who watch while it happens; nothing of it is stored. */
export interface RunListener extends ModelListener {
  /** Output of a call as it is printed, masked. */
  output?(callId: string, text: string): void;
  /** What the run waits for from now on: `model`, `sandbox`, `tool bash`, `approval bash`; empty: nothing. Retries of a model come here too. */
  waiting?(reason: string): void;
}

/** Everything that a turn touches; the composition root puts it together. */
export interface RunDeps {
  log: EventLog;
  key: SessionKey;
  /** Id of this worker: owner of the lease; its events have the actor `worker:<id>`. */
  worker: string;
  /** How long the lease runs between renewals, milliseconds. Default 15,000. */
  leaseMs?: number;
  /** Take the session from a worker whose lease still runs. Default false. */
  takeover?: boolean;

  /** Opens the session's model: at the start, and again when a ModelChanged event names another. The run closes it. */
  openModel(open: { spec: string; baseUrl: string; step: number }): Promise<Model>;
  tools: ToolRegistry;
  /** May still be starting while the first model call is under way; awaited before the first action. Not closed by the run. */
  toolSession: Promise<ToolSession>;
  /** The tool session has lived since the session's last action (shells, background processes). Default false: the model is told of a restart. */
  toolsKept?: boolean;
  /** None: no checkpoints. Its first capture overlaps the first model call and is done before the first action. Not closed by the run. */
  checkpointer?: Promise<Checkpointer>;
  /** Default: the session's own policy (`SessionStarted.approval_policy`). */
  approvals?: Approvals;
  /** Budgets above the session's own limits. */
  budgets?: Budgets;
  masker?: Masker;
  clock: Clock;
  faults?: FaultPoints;
  /** Nobody to ask: what needs approval ends the turn with NEEDS_APPROVAL, and a reply without a call is nudged before it ends as WAITING. */
  unattended: boolean;
  /** When it aborts, the run stops at its next safe point (between steps) without ending the turn, and rejects with `cancelled`. */
  drain?: AbortSignal;
  listener?: RunListener;
}

/**
 * Works on a session until its turn ends, and returns the end (also stored). One call is one turn: a message that comes later needs
 * another call. A session whose turn is over already answers with its last end and does nothing else.
 *
 * Rejects, with the turn left open so that another run can go on with it: `cancelled` when `signal` (at once: running calls end as
 * interrupted, which is recorded) or `deps.drain` aborts; `lease_lost` when another worker took over (nothing is recorded);
 * `failed_precondition` while another worker holds the lease; and whatever the log throws. Failures of model, sandbox and tools never
 * reject: they end the turn as FAILED, or are told to the model.
 */
export function runSession(deps: RunDeps, signal: AbortSignal): Promise<TurnEnded> {
  void deps;
  void signal;
  return Promise.reject(new GuildError("unsupported", "the agent loop is not there yet"));
}

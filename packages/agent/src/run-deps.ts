import type {
  ApprovalRule,
  Approvals,
  Budgets,
  Checkpointer,
  Clock,
  CommandJudge,
  DataLeaving,
  EventLog,
  FaultPoints,
  GuildError,
  Masker,
  Model,
  ModelListener,
  SessionKey,
  SessionPart,
  ToolRegistry,
  ToolSession,
} from "@guildhall/core";

import type { ActionJudge } from "./judged-actions.ts";
import type { RepositoryTrust } from "./untrusted-source.ts";

/** What a run tells those who watch while it happens; nothing of it is stored. */
export interface RunListener extends ModelListener {
  /** Output of a call as it is printed, masked. */
  output?(callId: string, text: string): void;
  /** What the run waits for from now on: `model`, `sandbox`, `tool bash: npm test`, `approval bash`. Retries of a model come here too. */
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
  /** Opens the model that writes summaries of old history, given the session's own; the run closes it. Undefined, or by default: none, what is left out is told by rule. */
  openSummariser?(session: { spec: string; baseUrl: string }): Promise<Model | undefined>;
  /** Messages, replies and notices beyond which history is condensed, however small. Default 0: any number. */
  mostItems?: number;
  tools: ToolRegistry;
  /** May still be starting while the first model call is under way; awaited before the first action. Not closed by the run. */
  toolSession: Promise<ToolSession>;
  /** The tool session has lived since the session's last action (shells, background processes). Default false: the model is told of a restart. */
  toolsKept?: boolean;
  /** What joins the session beside the loop; awaited before the first model call, not closed by the run. Their tools come with `tools`. */
  parts?: Promise<readonly SessionPart[]>;
  /** A part has failed; the run goes on. */
  partFailed?(part: string, error: GuildError): void;
  /** None: no checkpoints. Its first capture overlaps the first model call and is done before the first action. Not closed by the run. */
  checkpointer?: Promise<Checkpointer>;
  /** Default: the session's own policy (`SessionStarted.approval_policy`). */
  approvals?: Approvals;
  /** Whether the session's own policy asks before private data could leave; see the policy's `approvals.data_leaving`. Default `ask`. */
  dataLeaving?: DataLeaving;
  /** Whether a person vouches for the text of the workspace, as it was when the turn began. Default `known`. */
  repository?: RepositoryTrust;
  /** Rules for single actions, beside the session's policy; read at each judgement. Default: none. */
  approvalRules?(): readonly ApprovalRule[];
  /** A further judge of actions that its own analysis does not find risky, where the session's policy asks by risk. Default: none. */
  actionJudge?: ActionJudge;
  /** Loads the analysis of commands; called only where the session's policy asks by risk, beside the first model call. Default: none. */
  commandJudge?(): Promise<CommandJudge>;
  /** How long a question to a person stands, milliseconds. Default 24 hours. */
  approvalTtlMs?: number;
  /** Budgets above the session's own limits. Default: none. */
  budgets?: Budgets;
  masker?: Masker;
  clock: Clock;
  /** Default: nothing happens at any of them; see FAULT_POINTS. */
  faults?: FaultPoints;
  /** Nobody to ask: what needs approval ends the turn with NEEDS_APPROVAL, and a reply without a call is nudged before it ends as WAITING. */
  unattended: boolean;
  /** When it aborts, the run stops at its next safe point (between steps) without ending the turn, and rejects with `cancelled`. */
  drain?: AbortSignal;
  listener?: RunListener;
}

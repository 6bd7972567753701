import type { ActionStatus, BlobRef, Control, Risk, TurnEndReason } from "@guildhall/protocol";

import { Chain } from "./chain.ts";

/**
 * What a session's events amount to; made by `fold` alone and never changed in place, so that a version once seen stays as it was.
 * Everything that a client, a model or the next step needs can be read off it without looking at the events again.
 */
export interface SessionState {
  /** Sequence of the last event. */
  readonly seq: number;
  /** Highest epoch that has written. */
  readonly epoch: number;
  readonly info: SessionInfo;
  /** 0: none. */
  readonly limits: LimitValues;
  /** The conversation in the order of the log. */
  readonly items: Chain<Item>;
  /** Every call that a reply made, by its id. */
  readonly calls: Chain<Call>;
  /** The observation of each call that has one, by its id. */
  readonly observations: Chain<Observation>;
  /** Calls without an observation, in the order in which they were made. */
  readonly open: readonly OpenCall[];
  /** An interrupt or pause that nobody has acted upon yet. */
  readonly control: PendingControl | undefined;
  readonly turn: Turn;
  /** Replies so far that count. */
  readonly steps: number;
  /** All that was spent, on rewound steps too. */
  readonly spent: Spent;
  /** What the task tracker said last. */
  readonly tasks: Observation | undefined;
  readonly exposure: Exposure;
  readonly checkpoint: { readonly tree: string; readonly seq: number } | undefined;
  readonly window: Window;
  /** UTF-8 bytes of all items and observations so far, condensed ones too. */
  readonly bytes: number;
  /** The latest steps since a person last spoke, oldest first, at most 20: what stuck detection looks at. */
  readonly recent: readonly StepTrace[];
  readonly lastReply: ReplyItem | undefined;
  /** Sequence of the last message from a person; 0: none. */
  readonly lastMessageSeq: number;
  /** The state after each earlier event, for rewinds. */
  readonly past: Chain<SessionState>;
}

export interface SessionInfo {
  readonly workspace: string;
  readonly model: string;
  readonly baseUrl: string;
  readonly sandbox: string;
  readonly approvalPolicy: string;
  readonly version: string;
  readonly systemPrompt: string;
  readonly tools: readonly string[];
  readonly environmentHash: string;
  /** Session that this one was forked from; empty: none. */
  readonly parent: string;
}

export interface LimitValues {
  readonly maxSteps: number;
  readonly maxTokens: number;
  readonly maxCostUsd: number;
  readonly maxSeconds: number;
}

export type Item = MessageItem | ReplyItem | NoticeItem | FailureItem;

interface ItemBase {
  readonly seq: number;
  /** UTF-8 bytes that it brings into a prompt. */
  readonly bytes: number;
}

/** A person spoke. */
export interface MessageItem extends ItemBase {
  readonly kind: "message";
  readonly text: string;
}

export interface ReplyItem extends ItemBase {
  readonly kind: "reply";
  readonly step: number;
  /** Messages later than this were not in its request. */
  readonly seenSeq: number;
  readonly text: string;
  readonly reasoning: string;
  /** Calls whose id no earlier call has. */
  readonly calls: readonly Call[];
  readonly providerData: string;
  /** The session's model when it was made: what it needs back only that model understands. */
  readonly model: string;
  /** What the provider counted for its request and for itself; 0: not told. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** `SessionState.bytes` with it. */
  readonly bytesSoFar: number;
}

export interface NoticeItem extends ItemBase {
  readonly kind: "notice";
  readonly notice: string;
  readonly text: string;
}

/** A reply that could not be used, of which the model was told. */
export interface FailureItem extends ItemBase {
  readonly kind: "failure";
  readonly failure: string;
  readonly text: string;
}

export interface Call {
  readonly callId: string;
  readonly tool: string;
  /** JSON text as the model wrote it, perhaps invalid. */
  readonly arguments: string;
  /** But for secrets, which were taken out of it. */
  readonly masked?: true;
}

export interface Observation {
  readonly callId: string;
  readonly tool: string;
  readonly seq: number;
  readonly status: ActionStatus;
  readonly output: string;
  readonly fullOutput: BlobRef | undefined;
  /** JSON; empty: none. */
  readonly data: string;
  readonly images: readonly BlobRef[];
  /** Where it comes from, when nobody vouches for what it says; empty: from the sandbox. */
  readonly untrusted: string;
  readonly bytes: number;
}

/** What has come together in a session: what nobody vouches for may talk the agent into sending what is private somewhere. */
export interface Exposure {
  /** Where the first content came from that nobody vouches for; empty: there was none. */
  readonly untrusted: string;
  /** Something of the workspace may have been read. */
  readonly private: boolean;
}

export interface OpenCall extends Call {
  /** Sequence of its reply, its place there, and the turn in which it was made. */
  readonly replySeq: number;
  readonly index: number;
  readonly turn: number;
  /** Its intent is durable. `epoch` is the writer's, −1 in a copy or after a rewind: then nobody runs it. */
  readonly started: { readonly epoch: number; readonly repeatable: boolean } | undefined;
  /** The last time that a person was asked about it. */
  readonly approval: ApprovalState | undefined;
}

export interface ApprovalState {
  readonly approvalId: string;
  readonly digest: string;
  readonly risk: Risk;
  readonly reason: string;
  readonly rule: string;
  /** Milliseconds since 1970; Infinity: never. */
  readonly expires: number;
  readonly decision: { readonly granted: boolean; readonly comment: string } | undefined;
}

export interface PendingControl {
  readonly control: typeof Control.INTERRUPT | typeof Control.PAUSE;
  readonly reason: string;
  readonly seq: number;
}

export interface Turn {
  /** 1 for the first; 0 before. */
  readonly number: number;
  readonly open: boolean;
  readonly openedBy: "message" | "resume" | "approval" | "work";
  readonly openedSeq: number;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  /** Milliseconds that workers had worked on it, as far as they have told; 0: not told. */
  readonly activeMs: number;
  /** How the last turn ended; undefined while one is open, and before the first. */
  readonly end: { readonly reason: TurnEndReason; readonly summary: string; readonly detail: string; readonly seq: number } | undefined;
  /** Times that the model was told in this turn that it is stuck, and the step at which it was last. */
  readonly stuckNudges: number;
  readonly stuckStep: number;
  /** Replies without a call in a row that were answered by a nudge. */
  readonly textNudges: number;
  /** Failures of the model in a row, and the last of them; gone with the next reply. */
  readonly failures: number;
  readonly lastFailure: { readonly kind: string; readonly message: string; readonly told: boolean } | undefined;
}

export interface Spent {
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly costUsd: number;
  /** Every reply so far had a known price. */
  readonly costKnown: boolean;
  /** Time in turns that are over, milliseconds. */
  readonly activeMs: number;
}

/** What condensation has left of the history. */
export interface Window {
  /** Observations up to here are shown as a line that says what was there. */
  readonly maskedThrough: number;
  /** History up to here is gone from view; `summary` stands in its place. */
  readonly droppedThrough: number;
  readonly summary: string;
  /** Sequence of the last condensation; 0: none. */
  readonly seq: number;
  /** Bytes of the history before it that are not shown any more. */
  readonly goneBytes: number;
  /** Steps at which history was last dropped, at most three. */
  readonly dropSteps: readonly number[];
  /** Sequence of the last request of a person to condense; 0: none. */
  readonly wantedSeq: number;
}

/** One step as stuck detection sees it; digests of the calls and of what came of them. */
export interface StepTrace {
  readonly step: number;
  /** Empty: the reply had no call. */
  readonly actions: string;
  readonly observations: string;
  /** Every call of it failed. */
  readonly error: boolean;
}

/** Before any event. */
export const EMPTY_SESSION: SessionState = {
  seq: 0,
  epoch: 0,
  info: {
    workspace: "",
    model: "",
    baseUrl: "",
    sandbox: "",
    approvalPolicy: "",
    version: "",
    systemPrompt: "",
    tools: [],
    environmentHash: "",
    parent: "",
  },
  limits: { maxSteps: 0, maxTokens: 0, maxCostUsd: 0, maxSeconds: 0 },
  items: Chain.empty,
  calls: Chain.empty,
  observations: Chain.empty,
  open: [],
  control: undefined,
  turn: {
    number: 0,
    open: false,
    openedBy: "message",
    openedSeq: 0,
    openedAt: 0,
    activeMs: 0,
    end: undefined,
    stuckNudges: 0,
    stuckStep: 0,
    textNudges: 0,
    failures: 0,
    lastFailure: undefined,
  },
  steps: 0,
  spent: {
    inputTokens: 0,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    costUsd: 0,
    costKnown: true,
    activeMs: 0,
  },
  tasks: undefined,
  exposure: { untrusted: "", private: false },
  checkpoint: undefined,
  window: { maskedThrough: 0, droppedThrough: 0, summary: "", seq: 0, goneBytes: 0, dropSteps: [], wantedSeq: 0 },
  bytes: 0,
  recent: [],
  lastReply: undefined,
  lastMessageSeq: 0,
  past: Chain.empty,
};

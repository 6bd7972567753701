import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ActionFinished,
  type ActionStarted,
  type ApprovalDecided,
  type ApprovalRequested,
  type ContextCondensed,
  Control,
  type ControlRequested,
  type Event,
  EventSchema,
  type Limits,
  type ModelFailed,
  type ModelReplied,
  type SessionForked,
  type SessionRewound,
  type SessionStarted,
  type Usage,
} from "@guildhall/protocol";

import type { EventBody } from "../ports/event-log.ts";
import { turnChange } from "../session-row.ts";
import {
  EMPTY_SESSION,
  type Call,
  type Item,
  type LimitValues,
  type OpenCall,
  type SessionState,
  type Spent,
  type Window,
} from "./state.ts";
import { traceStep } from "./step-trace.ts";
import { goneBytes } from "./window.ts";

/**
 * The state after one more event. Pure, in constant time, and total: any sequence of events folds, a broken one too. What does not fit
 * (an observation without its call, a second observation, a decision for another action, an event that was there before) changes
 * nothing.
 */
export function fold(state: SessionState, event: Event): SessionState {
  if (event.seq <= state.seq) return state;
  const at = { ...state, seq: event.seq, epoch: Math.max(state.epoch, event.epoch), past: state.past.push(state) };
  return apply(turn(at, event), event);
}

export function foldAll(events: Iterable<Event>, from: SessionState = EMPTY_SESSION): SessionState {
  let state = from;
  for (const event of events) state = fold(state, event);
  return state;
}

/** The state as it would be once `bodies` are appended: how a writer looks ahead before it writes. */
export function foldBodies(state: SessionState, bodies: readonly EventBody[], written: { epoch: number; time: Date }): SessionState {
  const time = timestampFromMs(written.time.getTime());
  return bodies.reduce((ahead, body) => fold(ahead, create(EventSchema, { seq: ahead.seq + 1, epoch: written.epoch, time, body })), state);
}

function apply(state: SessionState, event: Event): SessionState {
  const { body } = event;
  switch (body.case) {
    case "sessionStarted":
      return started(state, body.value);
    case "messageReceived":
      return {
        ...withItem(state, { kind: "message", seq: event.seq, text: body.value.text, bytes: bytes(body.value.text) }),
        lastMessageSeq: event.seq,
        recent: [],
      };
    case "controlRequested":
      return controlled(state, event.seq, body.value);
    case "approvalDecided":
      return decided(state, milliseconds(event), body.value);
    case "leaseTaken":
      return { ...state, epoch: Math.max(state.epoch, body.value.epoch) };
    case "modelReplied":
      return replied(state, event.seq, body.value);
    case "modelFailed":
      return failed(state, event.seq, body.value);
    case "actionStarted":
      return actionStarted(state, event.epoch, body.value);
    case "actionFinished":
      return actionFinished(state, event.seq, body.value);
    case "approvalRequested":
      return approvalRequested(state, body.value);
    case "checkpointMade":
      return { ...state, checkpoint: { tree: body.value.tree, seq: event.seq } };
    case "noticeGiven":
      return noticed(inEnvironment(state, body.value.environmentHash), event.seq, body.value.kind, body.value.text);
    case "contextCondensed":
      return condensed(state, body.value);
    case "modelChanged":
      return { ...state, info: { ...state.info, model: body.value.model, baseUrl: body.value.baseUrl } };
    case "sessionRewound":
      return rewound(state, body.value);
    case "sessionForked":
      return forked(state, body.value);
    case "networkDecided":
    case "turnEnded":
    case undefined:
      return state;
    default:
      // A kind that a newer version added: its field is kept by the codec, and means nothing here.
      return state;
  }
}

/** Opens or closes the turn, by the same rule as the session's row in every log. */
function turn(state: SessionState, event: Event): SessionState {
  const change = turnChange([event.body]);
  if (change === undefined) return state;
  const { turn: before } = state;
  if (change.turnOpen) {
    if (before.open) return state;
    const openedBy =
      event.body.case === "messageReceived"
        ? "message"
        : event.body.case === "controlRequested"
          ? "resume"
          : event.body.case === "approvalDecided"
            ? "approval"
            : "work";
    const opened = { ...EMPTY_SESSION.turn, number: before.number + 1, open: true, openedSeq: event.seq, openedAt: milliseconds(event) };
    return { ...state, turn: { ...opened, openedBy } };
  }
  const ended = event.body.case === "turnEnded" ? event.body.value : undefined;
  // Only logs of earlier releases have nothing better than the clock on the wall, which may have been set meanwhile.
  const took = ended?.activeMs || before.activeMs || Math.max(0, milliseconds(event) - before.openedAt);
  const activeMs = before.open ? state.spent.activeMs + took : state.spent.activeMs;
  const end = ended && { reason: ended.reason, summary: ended.summary, detail: ended.detail, seq: event.seq };
  return { ...state, control: undefined, spent: { ...state.spent, activeMs }, turn: { ...before, open: false, end } };
}

function started(state: SessionState, value: SessionStarted): SessionState {
  const { workspace, model, baseUrl, sandbox, approvalPolicy, version, systemPrompt, tools, environmentHash } = value;
  return {
    ...state,
    info: { workspace, model, baseUrl, sandbox, approvalPolicy, version, systemPrompt, tools, environmentHash, parent: "" },
    limits: limitsAfter(EMPTY_SESSION.limits, value.limits),
  };
}

function controlled(state: SessionState, seq: number, { control, reason, limits }: ControlRequested): SessionState {
  switch (control) {
    case Control.RESUME:
      return { ...state, control: undefined, limits: limitsAfter(state.limits, limits) };
    case Control.INTERRUPT:
      return state.turn.open ? { ...state, control: { control: Control.INTERRUPT, reason, seq } } : state;
    case Control.PAUSE:
      return state.turn.open && state.control === undefined ? { ...state, control: { control: Control.PAUSE, reason, seq } } : state;
    case Control.CONDENSE:
      return { ...state, window: { ...state.window, wantedSeq: seq } };
    default:
      return state;
  }
}

function replied(state: SessionState, seq: number, value: ModelReplied): SessionState {
  const calls: Call[] = [];
  let known = state.calls;
  for (const { callId, tool, arguments: args, masked } of value.toolCalls) {
    if (callId === "" || known.has(callId)) continue;
    const call = { callId, tool, arguments: args, ...(masked ? { masked: true as const } : {}) };
    calls.push(call);
    known = known.push(call, callId);
  }
  const size = bytes(value.text) + bytes(value.reasoning) + calls.reduce((sum, call) => sum + bytes(call.arguments) + 32, 0);
  const reply = {
    kind: "reply" as const,
    seq,
    step: value.step,
    seenSeq: value.seenSeq === 0 ? seq : Math.min(value.seenSeq, seq),
    text: value.text,
    reasoning: value.reasoning,
    calls,
    providerData: value.providerData,
    model: state.info.model,
    inputTokens: value.usage?.inputTokens ?? 0,
    outputTokens: value.usage?.outputTokens ?? 0,
    bytes: size,
    bytesSoFar: state.bytes + size,
  };
  const open = calls.map((call, index): OpenCall => ({
    ...call,
    replySeq: seq,
    index,
    turn: state.turn.number,
    started: undefined,
    approval: undefined,
  }));
  const next = {
    ...withItem(state, reply),
    calls: known,
    open: [...state.open, ...open],
    steps: state.steps + 1,
    spent: spentAfter(state.spent, value.usage),
    lastReply: reply,
    turn: {
      ...state.turn,
      activeMs: Math.max(state.turn.activeMs, value.activeMs),
      failures: 0,
      lastFailure: undefined,
      textNudges: calls.length > 0 ? 0 : state.turn.textNudges,
    },
  };
  return calls.length === 0 ? traceStep(next, reply) : next;
}

function failed(state: SessionState, seq: number, { kind, message, toldToModel: told }: ModelFailed): SessionState {
  const next = { ...state, turn: { ...state.turn, failures: state.turn.failures + 1, lastFailure: { kind, message, told } } };
  return told ? withItem(next, { kind: "failure", seq, failure: kind, text: message, bytes: bytes(message) }) : next;
}

function actionStarted(state: SessionState, epoch: number, { callId, repeatable }: ActionStarted): SessionState {
  return changeOpen(state, callId, (call) => ({ ...call, started: { epoch, repeatable } }));
}

function actionFinished(state: SessionState, seq: number, value: ActionFinished): SessionState {
  const { callId, status, output, fullOutput, data, images, untrusted } = value;
  const call = state.calls.find(callId);
  if (call === undefined || state.observations.has(callId)) return state;
  const observation = {
    callId,
    tool: call.tool,
    seq,
    status,
    output,
    fullOutput,
    data,
    images,
    untrusted,
    bytes: bytes(output) + images.length * IMAGE_BYTES,
  };
  const { exposure } = state;
  const exposed = (untrusted !== "" && exposure.untrusted === "") || (value.private && !exposure.private);
  const next = {
    ...state,
    observations: state.observations.push(observation, callId),
    spent: spentAfter(state.spent, value.usage),
    bytes: state.bytes + observation.bytes,
    open: state.open.filter((open) => open.callId !== callId),
    exposure: exposed ? { untrusted: exposure.untrusted || untrusted, private: exposure.private || value.private } : exposure,
    tasks: call.tool === "task_tracker" && data !== "" ? observation : state.tasks,
  };
  const reply = state.lastReply;
  const ofLast = reply !== undefined && state.open.some((open) => open.callId === callId && open.replySeq === reply.seq);
  return ofLast && !next.open.some((open) => open.replySeq === reply.seq) ? traceStep(next, reply) : next;
}

/** What a picture counts for in a prompt, as bytes of text: about 1,500 tokens. */
const IMAGE_BYTES = 6_000;

function approvalRequested(state: SessionState, value: ApprovalRequested): SessionState {
  const { approvalId, actionDigest: digest, risk, reason, rule } = value;
  const expires = value.expires === undefined ? Infinity : timestampMs(value.expires);
  return changeOpen(state, value.callId, (call) => ({
    ...call,
    approval: { approvalId, digest, risk, reason, rule, expires, decision: undefined },
  }));
}

/** The first decision counts, in time and for exactly the action that was asked about; any other is void. */
function decided(state: SessionState, time: number, { approvalId, actionDigest, granted, comment }: ApprovalDecided): SessionState {
  const call = state.open.find((open) => open.approval?.approvalId === approvalId);
  const { approval } = call ?? {};
  if (call === undefined || approval === undefined || approval.decision !== undefined || call.started !== undefined) return state;
  if (approval.digest !== actionDigest || time > approval.expires) return state;
  return changeOpen(state, call.callId, (open) => ({ ...open, approval: { ...approval, decision: { granted, comment } } }));
}

function inEnvironment(state: SessionState, environmentHash: string): SessionState {
  return environmentHash === "" ? state : { ...state, info: { ...state.info, environmentHash } };
}

function noticed(state: SessionState, seq: number, notice: string, text: string): SessionState {
  const next = withItem(state, { kind: "notice", seq, notice, text, bytes: bytes(text) });
  if (notice === "stuck") {
    return { ...next, turn: { ...next.turn, stuckNudges: next.turn.stuckNudges + 1, stuckStep: next.steps } };
  }
  return notice === "invalid_reply" ? { ...next, turn: { ...next.turn, textNudges: next.turn.textNudges + 1 } } : next;
}

function condensed(state: SessionState, { throughSeq, method, summary, usage }: ContextCondensed): SessionState {
  const through = Math.min(throughSeq, state.seq);
  const { window } = state;
  const paid = { ...state, spent: spentAfter(state.spent, usage) };
  const maskedThrough = Math.max(window.maskedThrough, through);
  if (method === "masked") return withWindow(paid, { ...window, maskedThrough });
  if (through <= window.droppedThrough) return paid;
  const dropSteps = [...window.dropSteps, state.steps].slice(-3);
  return withWindow(paid, { ...window, maskedThrough, droppedThrough: through, summary, dropSteps });
}

function withWindow(state: SessionState, window: Window): SessionState {
  return { ...state, window: { ...window, seq: state.seq, goneBytes: goneBytes(state, window) } };
}

/** The head moves back: everything is as it was at `toSeq`, but what was spent stays spent and the sequence goes on. */
function rewound(state: SessionState, { toSeq, tree }: SessionRewound): SessionState {
  const then = toSeq >= state.seq ? state : stateAt(state, Math.max(1, toSeq));
  return {
    ...atRest(then, state),
    seq: state.seq,
    past: state.past,
    // Ids stay taken for ever.
    calls: state.calls,
    spent: state.spent,
    checkpoint: tree === "" ? then.checkpoint : { tree, seq: state.seq },
  };
}

/** What came before is another session's: its epochs and spending are not this one's, and nothing that it began is run here. */
function forked(state: SessionState, { parentSessionId, workspace }: SessionForked): SessionState {
  const info = { ...state.info, parent: parentSessionId, workspace: workspace === "" ? state.info.workspace : workspace };
  return { ...atRest(state, state), epoch: 0, info, spent: EMPTY_SESSION.spent };
}

/** Between turns, with nothing asked of anybody (what was asked is asked anew) and no call that a worker could take for its own. */
function atRest(then: SessionState, now: SessionState): SessionState {
  return {
    ...then,
    epoch: now.epoch,
    control: undefined,
    recent: [],
    open: then.open.map((call) => ({ ...call, approval: undefined, started: call.started && { ...call.started, epoch: -1 } })),
    turn: { ...then.turn, number: now.turn.number, open: false, end: undefined },
  };
}

function stateAt(state: SessionState, seq: number): SessionState {
  // Sequences have no gaps in a whole log, so that the place is known; in a broken one it lies further to the front.
  for (let place = Math.min(seq, state.past.length - 1); place >= 0; place--) {
    const then = state.past.at(place);
    if (then !== undefined && then.seq <= seq) return then;
  }
  return EMPTY_SESSION;
}

function changeOpen(state: SessionState, callId: string, change: (call: OpenCall) => OpenCall): SessionState {
  const place = state.open.findIndex((call) => call.callId === callId);
  const call = state.open[place];
  return call === undefined ? state : { ...state, open: state.open.with(place, change(call)) };
}

function withItem(state: SessionState, item: Item): SessionState {
  return { ...state, items: state.items.push(item), bytes: state.bytes + item.bytes };
}

function limitsAfter(before: LimitValues, limits: Limits | undefined): LimitValues {
  if (limits === undefined) return before;
  return {
    maxSteps: limits.maxSteps || before.maxSteps,
    maxTokens: Number(limits.maxTokens) || before.maxTokens,
    maxCostUsd: limits.maxCostUsd || before.maxCostUsd,
    maxSeconds: limits.maxSeconds || before.maxSeconds,
  };
}

function spentAfter(before: Spent, usage: Usage | undefined): Spent {
  if (usage === undefined) return before;
  return {
    ...before,
    inputTokens: before.inputTokens + usage.inputTokens,
    cachedInputTokens: before.cachedInputTokens + usage.cachedInputTokens,
    cacheWriteTokens: before.cacheWriteTokens + usage.cacheWriteTokens,
    outputTokens: before.outputTokens + usage.outputTokens,
    reasoningTokens: before.reasoningTokens + usage.reasoningTokens,
    costUsd: before.costUsd + (Number.isFinite(usage.costUsd) ? usage.costUsd : 0),
    costKnown: before.costKnown && usage.costKnown,
  };
}

function bytes(text: string): number {
  return Buffer.byteLength(text);
}

function milliseconds(event: Event): number {
  return event.time === undefined ? 0 : timestampMs(event.time);
}

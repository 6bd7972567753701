import { create } from "@bufbuild/protobuf";
import { body, type EventBody, GuildError, ModelError, type ModelReply, type SessionState, type Spending } from "@guildhall/core";
import { type ToolCall, ToolSchemaSchema, TurnEndReason } from "@guildhall/protocol";

import { timeLeft, turnEnd } from "./decide.ts";
import type { FaultPoint } from "./fault-points.ts";
import { loadImages } from "./images.ts";
import { patiently } from "./patience.ts";
import type { Run } from "./run.ts";
import { offerTools } from "./tools/index.ts";
import { view } from "./view.ts";

/** Failures that the model can do something about. */
const TOLD: ReadonlySet<string> = new Set(["empty", "truncated", "malformed", "too_large", "cut", "context_overflow"]);
/** Times in a row that it is told, before the turn ends. */
const TOLD_TIMES = 3;
/** Calls in one reply. */
const MOST_CALLS = 64;

/**
 * Asks the model once and records the reply, or why there is none. A call that is stopped leaves no trace: nothing of it counts. A reply
 * that arrives all the same is recorded, because it was paid for; whether its calls begin is decided with it.
 */
export async function callModel(run: Run): Promise<void> {
  const unopened = await run.openModel();
  if (unopened.length > 0) return run.commit(() => unopened);
  run.snapshots.begin();

  const { clock } = run.deps;
  const told = await run.journal.effect((signal) => patiently(clock, signal, run.parts.beforeStep(run.journal.state, signal)), run.signal);
  for (const { actor, events } of told ?? []) await run.journal.input(actor, events);
  // What was said, or came meanwhile, may have changed what is to be done.
  if (told?.length !== 0) return;

  const { state } = run.journal;
  const judged = run.judged();
  const outcome = await withinBudget(run, state, () => run.journal.effect((signal) => ask(run, state, signal), run.signal));
  switch (outcome.kind) {
    case "stopped":
      return;
    case "refused":
      return run.commit(() => [turnEnd(TurnEndReason.LIMIT, outcome.error.line, "budget")]);
    case "failed":
      return run.commit((now) => [failed(outcome.error, now)]);
    case "replied": {
      // Whatever the reply says, so that a log does not depend on which of the two was faster.
      const unsaved = await firstSnapshot(run);
      await judged;
      await run.assess(outcome.reply.toolCalls);
      return run.commit((now) => [...run.snapshots.event(now), replied(run, outcome.reply, state.seq, now), ...unsaved]);
    }
    default:
      outcome satisfies never;
  }
}

type Outcome =
  | { kind: "replied"; reply: ModelReply }
  | { kind: "failed"; error: ModelError }
  | { kind: "refused"; error: GuildError }
  | { kind: "stopped" };

async function ask(run: Run, state: SessionState, signal: AbortSignal): Promise<Outcome> {
  const { deps } = run;
  const tools = offerTools(deps.tools, run.opened.of(state.observations)).map((tool) => create(ToolSchemaSchema, tool));
  const messages = view(state, run.context, run.rendered);
  const stop = AbortSignal.any([signal, untilDeadline(run, state, signal)]);
  await deps.faults?.hit("model:before" satisfies FaultPoint);
  run.waiting("model");
  const listener = run.listener();
  const images = await loadImages(messages, run);
  const call = run.model.model.generate({ sessionId: deps.key.session, messages, tools, images }, stop, listener);
  const outcome = await patiently(deps.clock, stop, call).then(
    (reply): Outcome => (reply === undefined ? { kind: "stopped" } : { kind: "replied", reply }),
    (error: unknown): Outcome => ({ kind: "failed", error: modelError(error) }),
  );
  listener.end();
  await deps.faults?.hit("model:after" satisfies FaultPoint);
  return outcome.kind === "replied" ? usable(outcome.reply) : outcome;
}

/** Aborts when the session's time is up; never when it was up before. */
export function untilDeadline(run: Run, state: SessionState, signal: AbortSignal): AbortSignal {
  const { clock } = run.deps;
  const left = timeLeft(state, run.activeMs(state));
  const over = new AbortController();
  if (left <= 0 || left >= 2 ** 31) return over.signal;
  // Timers may be early by a millisecond.
  clock.sleep(left + 1, signal).then(
    () => over.abort(new GuildError("deadline_exceeded", "the session's time is up")),
    // The step was over first.
    () => undefined,
  );
  return over.signal;
}

/** Budgets above the session: reserved before the call by what the last one took, settled by what this one did. */
async function withinBudget(run: Run, state: SessionState, call: () => Promise<Outcome>): Promise<Outcome> {
  const { budgets, key, clock } = run.deps;
  if (budgets === undefined) return call();
  let reservation: { id: string };
  try {
    const { lastReply } = state;
    const tokens = (lastReply?.inputTokens ?? 0) + (lastReply?.outputTokens ?? 0);
    const price = run.model.info?.price;
    const costUsd = ((lastReply?.inputTokens ?? 0) * (price?.input ?? 0) + (lastReply?.outputTokens ?? 0) * (price?.output ?? 0)) / 1e6;
    reservation = await budgets.reserve({ ...key, epoch: run.journal.epoch }, { steps: 1, tokens, costUsd });
  } catch (error) {
    if (GuildError.is(error, "resource_exhausted")) return { kind: "refused", error };
    throw error;
  }
  const began = clock.monotonic();
  let spent: Partial<Spending> = {};
  try {
    const outcome = await call();
    if (outcome.kind === "replied") {
      const { usage } = outcome.reply;
      const tokens = (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0);
      spent = { steps: 1, tokens, costUsd: usage?.costUsd ?? 0, seconds: (clock.monotonic() - began) / 1_000 };
    }
    return outcome;
  } finally {
    await budgets.settle(reservation, spent);
  }
}

/** Waits for the checkpoint from before any action; the events that end the turn when there is none. */
export async function firstSnapshot(run: Run): Promise<EventBody[]> {
  try {
    await run.snapshots.first();
    return [];
  } catch (error) {
    if (!GuildError.is(error)) throw error;
    if (run.signal.aborted) return []; // taken away with the sandbox, by whoever gave the run up
    return [turnEnd(TurnEndReason.FAILED, `no checkpoint could be made: ${error.line}`, `checkpoint:${error.code}`)];
  }
}

function replied(run: Run, reply: ModelReply, seenSeq: number, now: SessionState): EventBody {
  const { masked } = run;
  const step = now.steps + 1;
  const toolCalls = masked.hidden(uniqueCalls(reply.toolCalls, now, step));
  // Signatures over arguments that are no longer these would be refused by their provider.
  const changed = toolCalls.some((call) => call.masked) ? { providerData: "" } : {};
  const [text, reasoning] = [masked.mask(reply.text), masked.mask(reply.reasoning)];
  return body.modelReplied({ ...reply, ...changed, text, reasoning, step, seenSeq, toolCalls });
}

/** The provider's ids where they are of use; local servers repeat theirs, or give none. */
function uniqueCalls(calls: readonly ToolCall[], now: SessionState, step: number): ToolCall[] {
  const taken = new Set<string>();
  return calls.map((call, index) => {
    let callId = call.callId;
    for (let next = index + 1; callId === "" || taken.has(callId) || now.calls.has(callId); next++) callId = `call_${step}_${next}`;
    taken.add(callId);
    return { ...call, callId };
  });
}

function failed({ kind, message, remedy, attempts }: ModelError, now: SessionState): EventBody {
  const toldToModel = TOLD.has(kind) && now.turn.failures < TOLD_TIMES;
  return body.modelFailed({ kind, message: remedy === undefined ? message : `${message} — ${remedy}`, attempts, toldToModel });
}

/** Replies that no provider should have let through. */
function usable(reply: ModelReply): Outcome {
  if (reply.text.trim() === "" && reply.toolCalls.length === 0) {
    return { kind: "failed", error: new ModelError("empty", "the model's reply was empty") };
  }
  if (reply.toolCalls.length > MOST_CALLS) {
    return {
      kind: "failed",
      error: new ModelError("too_large", `a reply of ${reply.toolCalls.length} calls; at most ${MOST_CALLS} go into one`),
    };
  }
  return { kind: "replied", reply };
}

function modelError(error: unknown): ModelError {
  if (error instanceof ModelError) return error;
  const { line, code } = GuildError.from(error);
  return new ModelError(code === "unavailable" ? "unreachable" : "other", line, { cause: error });
}

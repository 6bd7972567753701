import { body, type EventBody, GuildError, type SessionState, type ToolResult, type ToolSession } from "@guildhall/core";
import { ActionStatus, TurnEndReason } from "@guildhall/protocol";

import { firstSnapshot, untilDeadline } from "./call-model.ts";
import { turnEnd, unseenMessage } from "./decide.ts";
import type { FaultPoint } from "./fault-points.ts";
import { INTERRUPTED, NOT_RUN } from "./notices.ts";
import { patiently } from "./patience.ts";
import type { Finished, Run } from "./run.ts";
import { planParallel, type PreparedCall, restoreTasks, runPrepared, tasksOf } from "./tools/index.ts";
import { readsPrivate, untrustedSource } from "./untrusted-source.ts";

/**
 * Runs calls whose intent is durable, side by side where they touch nothing in common, and records their observations in the order of
 * the calls, with a checkpoint when files may have changed. Calls that are stopped end as interrupted.
 */
export async function runActions(run: Run, calls: PreparedCall[]): Promise<void> {
  const { journal } = run;
  const unsaved = await firstSnapshot(run);
  if (unsaved.length > 0) return run.commit(() => [...calls.map(notRun), ...unsaved]);
  // Normally in the log since the reply; not when a run begins with an action. Then look again at what to do.
  if (run.snapshots.event(journal.state).length > 0) return run.commit((state) => run.snapshots.event(state));

  const results = await journal.effect(async (signal) => {
    const stop = AbortSignal.any([signal, untilDeadline(run, journal.state, signal)]);
    const session = await startedSession(run, stop);
    return session instanceof GuildError ? session : { session, finished: await runPlanned(run, session, calls, stop) };
  }, run.signal);
  if (results instanceof GuildError) {
    if (results.code === "cancelled" || run.signal.aborted) return run.commit(() => calls.map(notRun));
    const why = turnEnd(TurnEndReason.FAILED, `the sandbox did not start: ${results.line}`, `sandbox:${results.code}`);
    return run.commit(() => [...calls.map(notRun), why]);
  }

  const { session, finished } = results;
  const unchecked = calls.some(writes) ? await snapshot(run) : [];
  const gone = await goneReason(session);
  // Its worker was suspended, or too busy to keep it alive. That says nothing against the work, which goes on in another sandbox.
  if (gone === "lease") throw new GuildError("lease_lost", "the sandbox ended itself, because it was not heard of in time");
  // Who gives a run up takes its sandbox away as well: that says nothing against the work either.
  const given = run.signal.aborted;
  await run.commit((state) => [
    ...finished.map((one) => one.event),
    ...run.snapshots.event(state),
    ...(ending(finished, state, given ? undefined : gone) ?? (given ? [] : unchecked)),
  ]);
}

/** Each call begins when those that it has to wait for have ended. */
async function runPlanned(run: Run, session: ToolSession, calls: PreparedCall[], signal: AbortSignal): Promise<Finished[]> {
  const running: Array<Promise<Finished>> = [];
  for (const { index, after } of planParallel(calls)) {
    const call = calls[index];
    if (call === undefined) continue;
    const earlier = after.flatMap((place) => running[place] ?? []);
    running.push(Promise.all(earlier).then(() => runOne(run, session, call, signal)));
  }
  return Promise.all(running);
}

async function runOne(run: Run, session: ToolSession, call: PreparedCall, signal: AbortSignal): Promise<Finished> {
  const { clock, faults, listener, masker } = run.deps;
  const { callId } = call;
  await faults?.hit("tool:before" satisfies FaultPoint);
  if (run.recorded !== undefined) return run.recorded.perform(call);
  if (signal.aborted) return { event: notRun(call), finish: undefined };
  run.waiting(`tool ${call.tool.name}${subject(call.input, (text) => run.masked.mask(text))}`);
  const stream = masker?.stream();
  const show = (text: string) => text !== "" && listener?.output?.(callId, text);
  const progress = (text: string) => show(stream?.push(text) ?? text);
  const began = clock.monotonic();
  const action = { callId, tool: call.tool.name, input: call.input };
  const perform = async (): Promise<ToolResult> => {
    const refused = await run.parts.refusal(action, signal);
    if (refused !== undefined) return { status: "error", output: run.masked.mask(refused) };
    return run.parts.added(action, await runPrepared(call, { session, callId, signal, progress }), signal);
  };
  const result = await patiently(clock, signal, perform());
  show(stream?.end() ?? "");
  await faults?.hit("tool:after" satisfies FaultPoint);
  const durationMs = Math.round(clock.monotonic() - began);
  if (result === undefined) {
    return { event: body.actionFinished({ callId, status: ActionStatus.INTERRUPTED, output: INTERRUPTED, durationMs }), finish: undefined };
  }
  const event = body.actionFinished({
    callId,
    status: result.status === "ok" ? ActionStatus.OK : ActionStatus.ERROR,
    output: result.output,
    data: result.data === undefined ? "" : JSON.stringify(result.data),
    durationMs,
    ...(result.fullOutput === undefined ? {} : { fullOutput: result.fullOutput }),
    ...(result.images === undefined ? {} : { images: [...result.images] }),
    ...(result.usage === undefined ? {} : { usage: result.usage }),
    untrusted: untrustedSource(call, result, run.deps.repository ?? "known"),
    private: readsPrivate(call),
  });
  return { event, finish: result.finish };
}

/** The tool session once its sandbox is there, with the task list that the log ends with; or why there is none. */
async function startedSession(run: Run, signal: AbortSignal): Promise<ToolSession | GuildError> {
  run.waiting("sandbox");
  const stopped = Promise.withResolvers<GuildError>();
  const stop = () => stopped.resolve(new GuildError("cancelled", "stopped before the sandbox was there"));
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const session = await Promise.race([run.deps.toolSession, stopped.promise]);
    if (session instanceof GuildError) return session;
    const tasks = run.deps.toolsKept === true ? undefined : tasksOf(run.journal.state.tasks?.data);
    if (tasks !== undefined) restoreTasks(session, tasks);
    return session;
  } catch (error) {
    return GuildError.from(error);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** A checkpoint of what the calls did; the events that end the turn when it fails. */
async function snapshot(run: Run): Promise<EventBody[]> {
  try {
    await run.snapshots.capture();
    return [];
  } catch (error) {
    if (!GuildError.is(error)) throw error;
    return [turnEnd(TurnEndReason.FAILED, `no checkpoint could be made: ${error.line}`, `checkpoint:${error.code}`)];
  }
}

/** The end of the turn, when a call was `finish` and no message came meanwhile, or the sandbox is gone. */
function ending(finished: Finished[], state: SessionState, gone: string | undefined): EventBody[] | undefined {
  const finish = finished.find((one) => one.finish !== undefined)?.finish;
  if (finish !== undefined && !unseenMessage(state)) {
    return [turnEnd(finish.done ? TurnEndReason.DONE : TurnEndReason.GAVE_UP, finish.summary)];
  }
  if (gone !== undefined) return [turnEnd(TurnEndReason.FAILED, `the sandbox is gone: ${gone}`, "sandbox:gone")];
  return undefined;
}

async function goneReason(session: ToolSession): Promise<string | undefined> {
  return Promise.race([session.sandbox.gone, Promise.resolve(undefined)]);
}

function notRun(call: PreparedCall): EventBody {
  return body.actionFinished({ callId: call.callId, status: ActionStatus.INTERRUPTED, output: NOT_RUN });
}

function writes(call: PreparedCall): boolean {
  return call.resources.some((resource) => resource.access === "write" && resource.name !== "tasks");
}

/** What a call is about, for a person who waits: its first argument that is text, on one line. */
function subject(input: unknown, mask: (text: string) => string): string {
  const first = typeof input === "object" && input !== null ? Object.values(input).find((value) => typeof value === "string") : undefined;
  if (first === undefined) return "";
  const line = mask(String(first)).trim().replaceAll(/\s+/g, " ");
  return `: ${line.length > 80 ? `${line.slice(0, 79)}…` : line}`;
}

import { create } from "@bufbuild/protobuf";
import { GuildError, type SessionState } from "@guildhall/core";
import { type TurnEnded, TurnEndedSchema, TurnEndReason } from "@guildhall/protocol";

import { callModel } from "./call-model.ts";
import { runActions } from "./run-actions.ts";
import type { RunDeps } from "./run-deps.ts";
import { type Recorded, Run } from "./run.ts";
import { summarise } from "./summarise.ts";

/**
 * Works on a session until its turn ends, and returns the end (also stored). One call is one turn: a message that comes later needs
 * another call. A session whose turn is over already answers with its last end and does nothing else.
 *
 * Every step is two appends: the reply with the intents of its calls, then their observations with the checkpoint; whatever else follows
 * from the state without an effect (a refusal, a notice, the end of the turn) goes along with them. An effect is made once: a run that
 * goes on after a crash takes the log's word for what has happened, and for what may have.
 *
 * Rejects, with the turn left open so that another run can go on with it: `cancelled` when `signal` (at once: running calls end as
 * interrupted, which is recorded) or `deps.drain` (between steps) aborts; `lease_lost` when another worker took over or the sandbox
 * was not heard of for the length of its lease (nothing more is recorded); `failed_precondition` while another worker holds the lease; and whatever the log throws. Failures of model, sandbox, tools
 * and checkpoints never reject: they end the turn as FAILED, or are told to the model.
 */
export async function runSession(deps: RunDeps, signal: AbortSignal): Promise<TurnEnded> {
  return workOn(deps, signal);
}

/** The loop, over the world or over what is recorded of it. */
export async function workOn(deps: RunDeps, signal: AbortSignal, recorded?: Recorded): Promise<TurnEnded> {
  if (signal.aborted) throw new GuildError("cancelled", "stopped before it began", { subject: deps.key.session, cause: signal.reason });
  const run = await Run.open(deps, signal, recorded);
  try {
    await run.begin();
    while (run.end === undefined) {
      const next = run.next();
      switch (next.do) {
        case "rest":
          return lastEnd(run.journal.state);
        case "record":
          // Decided again when it is written: what came in meanwhile may have changed it.
          await run.commit(() => []);
          break;
        case "summarise":
          await summarise(run, next);
          break;
        case "think":
          await callModel(run);
          break;
        case "act":
          await runActions(run, next.calls);
          break;
        case "ask":
          await run.ask(next.until);
          break;
        default:
          next satisfies never;
      }
    }
    await run.parts.turnEnded(run.end);
    return run.end;
  } finally {
    await run.close();
  }
}

function lastEnd({ turn }: SessionState): TurnEnded {
  const { reason, summary, detail } = turn.end ?? { reason: TurnEndReason.WAITING, summary: "the session waits for a message", detail: "" };
  return create(TurnEndedSchema, { reason, summary, detail });
}

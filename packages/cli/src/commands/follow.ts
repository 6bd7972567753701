import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";
import { Control, type Event, type TurnEnded, TurnEndReason } from "@guildhall/protocol";

import type { Connection } from "../client/connect.ts";
import type { Context } from "../client/context.ts";
import { exitCode, exitOfTurn } from "../exit.ts";
import { createProgress, type Progress } from "../output/progress.ts";
import { ask } from "./ask.ts";
import { offerHeld } from "./held.ts";

export interface FollowOptions {
  json: boolean;
  /** First sequence to show. */
  from: number;
  /** Ask at the terminal for approvals and answers. */
  interactive: boolean;
}

/**
 * Shows a session until its turn ends, asks the person where it needs one, and resolves to the exit code. The first Ctrl-C interrupts the
 * session; the second leaves at once, with the interrupt already stored.
 */
export async function follow(context: Context, connection: Connection, session: string, options: FollowOptions): Promise<number> {
  const progress = createProgress(context, session, options);
  const interrupt = onInterrupt(context, connection, session, progress);
  try {
    let from = options.from;
    for (;;) {
      const { end, lastSeq } = await watchTurn(context, connection, session, from, progress, options);
      if (end?.reason === TurnEndReason.WAITING && options.interactive) {
        progress.pause();
        const answer = await ask(context, "your answer (empty: leave it waiting): ");
        if (answer !== "") {
          const { seq } = await connection.sessions.sendInput({ sessionId: session, input: { case: "message", value: { text: answer } } });
          from = Math.max(lastSeq + 1, seq);
          continue;
        }
      }
      progress.end();
      await offerHeld(context, connection, session, options);
      const code = end === undefined ? exitCode.failed : exitOfTurn(end.reason);
      if (code !== exitCode.done) adviseNext(context, session, end, options.json);
      if (options.json)
        context.stdout.write(
          `${JSON.stringify({ id: session, type: "end", reason: reasonName(end), summary: end?.summary ?? "", exit_code: code })}\n`,
        );
      return code;
    }
  } catch (error) {
    progress.pause();
    if (!GuildError.is(error, "unavailable")) throw error;
    throw new GuildError("unavailable", error.message, {
      subject: session,
      remedy: `continue with: guild session resume ${session}`,
      cause: error,
    });
  } finally {
    interrupt.stop();
  }
}

async function watchTurn(
  context: Context,
  connection: Connection,
  session: string,
  from: number,
  progress: Progress,
  options: FollowOptions,
): Promise<{ end: TurnEnded | undefined; lastSeq: number }> {
  let end: TurnEnded | undefined;
  let lastSeq = from - 1;
  const request = { sessionId: session, fromSeq: from, follow: true, deltas: !options.json, untilTurnEnd: true };
  for await (const response of connection.sessions.watchSession(request)) {
    progress.deltas(response.deltas);
    progress.events(response.events);
    for (const event of response.events) {
      lastSeq = event.seq;
      if (event.body.case === "turnEnded") end = event.body.value;
      if (event.body.case === "approvalRequested" && options.interactive) await decide(context, connection, session, event, progress);
    }
  }
  return { end, lastSeq };
}

async function decide(context: Context, connection: Connection, session: string, event: Event, progress: Progress): Promise<void> {
  if (event.body.case !== "approvalRequested") return;
  const { approvalId, actionDigest, callId, rule, reason } = event.body.value;
  const call = progress.call(callId);
  progress.pause();
  context.stdout.write(
    `\nThe agent wants to run ${call?.tool ?? "a tool"} with\n  ${call?.arguments ?? "(unknown arguments)"}\nbecause of: ${reason}${rule === "" ? "" : `\nrule: ${rule}`}\n`,
  );
  const answer = await ask(context, "Allow this one action? [y/N; a: always in this session, by the rule above] ");
  const always = /^a(lways)?$/i.test(answer);
  if (always) await connection.approvals.saveRule({ sessionId: session, approvalId, workspace: false });
  const granted = always || /^y(es)?$/i.test(answer);
  const comment = granted || /^n?o?$/i.test(answer) ? "" : answer;
  await connection.sessions.sendInput({
    sessionId: session,
    input: { case: "approval", value: { approvalId, actionDigest, granted, comment } },
  });
}

function onInterrupt(context: Context, connection: Connection, session: string, progress: Progress): { stop(): void } {
  let asked = 0;
  const handler = (): void => {
    progress.pause();
    if (++asked > 1) {
      context.stderr.write(`\nguild: left; continue with: guild session resume ${session}\n`);
      process.exit(exitCode.interrupted);
    }
    context.stderr.write("\nguild: interrupting the session (again: leave at once)\n");
    const input = { case: "control" as const, value: { control: Control.INTERRUPT, reason: "Ctrl-C" } };
    const done = connection.sessions.sendInput({ sessionId: session, input });
    // Should the daemon not end the turn within a few seconds, leave: the interrupt is stored.
    void Promise.all([done, sleep(10_000, undefined, { ref: false })]).then(
      () => process.exit(exitCode.interrupted),
      (error: unknown) => {
        context.stderr.write(`guild: ${GuildError.from(error).line}\n`);
        process.exit(exitCode.interrupted);
      },
    );
  };
  process.on("SIGINT", handler).on("SIGTERM", handler);
  return { stop: () => void process.off("SIGINT", handler).off("SIGTERM", handler) };
}

function adviseNext(context: Context, session: string, end: TurnEnded | undefined, json: boolean): void {
  if (json) return;
  const resume = `guild session resume ${session}`;
  const advice =
    end?.reason === TurnEndReason.NEEDS_APPROVAL
      ? `decide at a terminal with: ${resume}`
      : end?.reason === TurnEndReason.WAITING
        ? `answer with: guild session send ${session} "…"`
        : end?.reason === TurnEndReason.LIMIT
          ? `go on with higher limits: ${resume} --max-steps N --budget USD`
          : `continue with: ${resume}`;
  context.stderr.write(`guild: ${advice}\n`);
}

/** As it stands in JSON lines: `done`, `gave_up`, … */
export function reasonName(end: TurnEnded | undefined): string {
  const name = Object.entries(TurnEndReason).find(([, value]) => value === end?.reason)?.[0];
  return (name ?? "unknown").toLowerCase();
}

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ActionStatus, type Control, type Event, EventSchema, type TurnEndReason } from "@guildhall/protocol";

import type { EventBody } from "../ports/event-log.ts";
import { body } from "../session/bodies.ts";
import type { Random } from "./random.ts";

/**
 * Events of every kind in no sensible order: observations without calls, calls without observations, ids used twice, rewinds to anywhere,
 * empty texts. With `broken`, sequences repeat and jump as well. What a fold must survive.
 */
export function randomEvents(random: Random, count: number, options: { broken?: boolean } = {}): Event[] {
  const events: Event[] = [];
  let seq = 0;
  for (let made = 0; made < count; made += 1) {
    const jump = options.broken === true && random.chance(0.1) ? random.below(5) - 2 : 1;
    seq = Math.max(0, seq + jump);
    const time = timestampFromMs(1_767_225_600_000 + made * 1_000);
    const event = create(EventSchema, { seq, time, epoch: random.below(4), actor: "worker:w" });
    const content = made === 0 && random.chance(0.9) ? started(random) : randomBody(random, seq);
    if (content !== undefined) event.body = content;
    events.push(event);
  }
  return events;
}

/** A whole session of so many steps, each with one call, as runs write them. */
export function plainSession(steps: number, options: { outputBytes?: number } = {}): Event[] {
  const bodies: EventBody[] = [
    body.sessionStarted({ workspace: "/w", model: "fake/model", sandbox: "fake", systemPrompt: "You are an agent." }),
    body.messageReceived({ text: "Do it.", messageId: "msg_1" }),
    body.leaseTaken({ workerId: "w", epoch: 1 }),
  ];
  for (let step = 1; step <= steps; step += 1) {
    const callId = `call_${step}_1`;
    bodies.push(
      body.modelReplied({
        step,
        text: `Step ${step}.`,
        toolCalls: [{ callId, tool: "bash", arguments: JSON.stringify({ command: `echo ${step}` }) }],
        finishReason: "tool_calls",
        seenSeq: bodies.length,
      }),
      body.actionStarted({ callId, tool: "bash" }),
      body.actionFinished({ callId, status: 1, output: `${step}\n${"x".repeat(options.outputBytes ?? 0)}` }),
    );
  }
  return bodies.map((content, index) =>
    create(EventSchema, { seq: index + 1, epoch: index < 2 ? 0 : 1, time: timestampFromMs(1_767_225_600_000 + index), body: content }),
  );
}

function started(random: Random): EventBody {
  return body.sessionStarted({
    workspace: "/w",
    model: random.pick(["a/model", "b/model"]),
    systemPrompt: random.pick(["You are an agent.", ""]),
    limits: { maxSteps: random.below(3) * 10 },
  });
}

function randomBody(random: Random, seq: number): EventBody | undefined {
  const text = () => random.pick(["", " ", "hello", "grüße 世界", "a\nb\nc", "x".repeat(random.below(3_000))]);
  const callId = () => random.pick(["", "c1", "c2", "c3", `c${random.below(40)}`, `c${seq}`]);
  const tool = () => random.pick(["bash", "edit", "task_tracker", "nothing"]);
  const makers: Array<() => EventBody | undefined> = [
    () => body.messageReceived({ text: text() }),
    () => body.controlRequested({ control: random.below(5) as Control, limits: { maxSteps: random.below(50) } }),
    () => body.approvalDecided({ approvalId: `p${random.below(4)}`, actionDigest: random.pick(["d", "e"]), granted: random.chance(0.5) }),
    () => body.leaseTaken({ workerId: "w", epoch: random.below(6) }),
    () => reply(),
    () => reply(),
    () => reply(),
    () =>
      body.modelFailed({
        kind: random.pick(["cut", "empty", "context_overflow", "odd"]),
        message: text(),
        toldToModel: random.chance(0.7),
      }),
    () => body.actionStarted({ callId: callId(), tool: tool(), repeatable: random.chance(0.3) }),
    () => body.actionStarted({ callId: callId(), tool: tool() }),
    () => observation(),
    () => observation(),
    () => observation(),
    () => body.approvalRequested({ approvalId: `p${random.below(4)}`, callId: callId(), actionDigest: "d" }),
    () => body.checkpointMade({ tree: `t${random.below(9)}` }),
    () => body.noticeGiven({ kind: random.pick(["stuck", "restart", "invalid_reply"]), text: text() }),
    () => body.turnEnded({ reason: random.below(12) as TurnEndReason, summary: text() }),
    () =>
      body.contextCondensed({
        throughSeq: random.below(seq + 20),
        summary: text(),
        method: random.pick(["masked", "truncated", "summarised", ""]),
      }),
    () => body.modelChanged({ model: random.pick(["a/model", "b/model"]) }),
    () => (random.chance(0.3) ? body.sessionRewound({ toSeq: random.below(seq + 10) }) : undefined),
    () => (random.chance(0.2) ? body.sessionForked({ parentSessionId: "ses_0", atSeq: seq }) : undefined),
    () => (random.chance(0.1) ? started(random) : undefined),
  ];
  const reply = () =>
    body.modelReplied({
      step: random.below(100),
      text: text(),
      reasoning: text(),
      toolCalls: Array.from({ length: random.below(4) }, () => ({
        callId: callId(),
        tool: tool(),
        arguments: random.pick(["{}", "", "{", "[[1", '{"command":"ls"}']),
      })),
      seenSeq: random.chance(0.5) ? 0 : random.below(seq + 5),
      ...(random.chance(0.5)
        ? { usage: { inputTokens: random.below(50_000), outputTokens: 10, costUsd: random.next(), costKnown: random.chance(0.9) } }
        : {}),
    });
  const observation = () =>
    body.actionFinished({
      callId: callId(),
      status: random.below(6) as ActionStatus,
      output: text(),
      data: random.pick(["", "{", '{"tasks":[{"title":"t","status":"todo"}]}']),
    });
  return random.pick(makers)();
}

import { once } from "node:events";

import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Approvals,
  type Budgets,
  type Checkpoint,
  type Checkpointer,
  type Clock,
  type ErrorCode,
  type Event,
  type EventBody,
  GuildError,
  type Model,
  ModelError,
  type ModelFailureKind,
  type ModelReply,
  type OpenCall,
  type Sandbox,
  type SessionState,
  type Tool,
  type ToolSession,
} from "@guildhall/core";
import { ActionStatus, Risk, TurnEndReason } from "@guildhall/protocol";
import { z } from "zod";

import type { RunDeps } from "../run-deps.ts";
import type { Finished, Recorded } from "../run.ts";
import { defineTool, type PreparedCall, ToolSet } from "../tools/index.ts";
import type { Recording } from "./recording.ts";
import { replayLog } from "./replay-log.ts";

const POLICY_REFUSAL = /^Refused by policy: (.*)\. Nothing was done\.$/s;
const SANDBOX_START = "the sandbox did not start: ";
const SANDBOX_GONE = "the sandbox is gone: ";
const NO_CHECKPOINT = "no checkpoint could be made: ";

/** Everything outside one recorded run: the model, the tools, the sandbox and the clock say what they said. */
export class RecordedWorld implements Recorded {
  readonly #recording: Recording;
  readonly #gone = Promise.withResolvers<string>();
  /** The run's own events, from its LeaseTaken on. */
  readonly #run: Event[];
  readonly #own: ReadonlySet<Event>;
  readonly #session: string;
  #captures = 0;
  #waitedAt = -1;

  /** For the run that begins at the recording's mark. */
  constructor(recording: Recording, session: string) {
    this.#recording = recording;
    this.#session = session;
    let leases = 0;
    this.#run = recording.upcoming((event) => event.body.case === "leaseTaken" && ++leases > 1);
    this.#own = new Set(this.#run);
  }

  deps(): RunDeps {
    const lease = this.#run[0]?.body.case === "leaseTaken" ? this.#run[0].body.value : undefined;
    const checkpoints = this.#recording.events.some((event) => event.body.case === "checkpointMade");
    return {
      log: replayLog(this.#recording),
      key: { tenant: "replay", session: this.#session },
      worker: lease?.workerId ?? "",
      openModel: async () => this.#openModel(),
      tools: new ToolSet(),
      toolSession: this.#toolSession(),
      toolsKept: this.#run[1]?.body.case !== "noticeGiven" || this.#run[1].body.value.kind !== "restart",
      ...(checkpoints ? { checkpointer: Promise.resolve(this.#checkpointer()) } : {}),
      approvals: this.#approvals(),
      budgets: this.#budgets(),
      clock: this.#clock(),
      unattended: lease?.unattended ?? false,
      listener: { waiting: (reason) => this.#waiting(reason) },
    };
  }

  /** Arguments refused as they were; risk and repeatability as they were. */
  prepare(call: OpenCall): { prepared: PreparedCall } | { refused: { status: "error"; output: string } } {
    const { callId } = call;
    const next = this.#imminent(callId)?.body;
    if (call.started === undefined && next?.case === "actionFinished" && next.value.status === ActionStatus.ERROR) {
      return { refused: { status: "error", output: next.value.output } };
    }
    const known = next?.case === "actionStarted" || next?.case === "approvalRequested" ? next.value : undefined;
    const repeatable = next?.case === "actionStarted" ? next.value.repeatable : (call.started?.repeatable ?? false);
    const risk = known?.risk ?? call.approval?.risk ?? Risk.UNSPECIFIED;
    const resources = [{ name: `file:/${callId}`, access: "write" as const }];
    return { prepared: { callId, tool: recordedTool(call.tool), input: {}, risk, resources, repeatable } };
  }

  /**
   * Nothing was heard of the call before others came in, though nobody had to be waited for: it depended on a call before it, or its worker
   * was about to leave.
   */
  held(call: OpenCall): boolean {
    const waits = call.approval !== undefined && call.approval.decision === undefined;
    return !waits && this.#imminent(call.callId) === undefined;
  }

  /** Time is up where it was up. */
  activeMs({ seq }: SessionState): number {
    const next = this.#recording.events[seq]?.body;
    return next?.case === "turnEnded" && next.value.detail === "time" ? Infinity : 0;
  }

  /** The recorded condensation, where it came next. */
  condense(state: SessionState): EventBody | undefined {
    const next = this.#recording.events[state.seq];
    return next?.body.case === "contextCondensed" ? next.body : undefined;
  }

  perform(call: PreparedCall): Finished {
    this.#recording.letIn();
    this.#recording.nextOfRun();
    const batch = this.#recording.upcoming((event) => event.body.case === "leaseTaken" || event.body.case === "modelReplied");
    const event = batch.find(({ body }) => body.case === "actionFinished" && body.value.callId === call.callId);
    if (event?.body.case !== "actionFinished") {
      // Cut in the middle of an append.
      if (this.#recording.upcoming().length === batch.length) throw this.#recording.stops("over");
      throw this.#recording.differs(this.#recording.present + 1, `call ${call.callId} runs now; it did not then`);
    }
    const end = batch.find(({ body }) => body.case === "turnEnded")?.body;
    if (end?.case !== "turnEnded") return { event: event.body, finish: undefined };
    const { reason, summary, detail } = end.value;
    if (detail === "sandbox:gone") this.#gone.resolve(summary.slice(SANDBOX_GONE.length));
    const finishes = call.tool.name === "finish" && detail === "" && (reason === TurnEndReason.DONE || reason === TurnEndReason.GAVE_UP);
    return { event: event.body, finish: finishes ? { done: reason === TurnEndReason.DONE, summary } : undefined };
  }

  #openModel(): Model {
    const next = this.#run.find(({ seq, body }) => seq > this.#recording.present && body.case !== "leaseTaken" && !isRestart(body));
    if (next?.body.case === "turnEnded" && next.body.value.detail.startsWith("model:") && next.body.value.reason === TurnEndReason.FAILED) {
      throw new ModelError(next.body.value.detail.slice("model:".length) as ModelFailureKind, next.body.value.summary);
    }
    const known = !this.#run.some(({ body }) => body.case === "turnEnded" && body.value.detail === "cost:unknown_price");
    return {
      info: {
        spec: "replay",
        provider: "replay",
        contextTokens: 0,
        maxOutputTokens: 0,
        price: known ? { input: 0, cachedInput: 0, cacheWrite: 0, output: 0 } : undefined,
      },
      generate: (_request, signal) => this.#generate(signal),
      close: async () => undefined,
    };
  }

  async #generate(signal: AbortSignal): Promise<ModelReply> {
    const letIn = this.#recording.letIn();
    const first = this.#recording.nextOfRun();
    const answer = first.body.case === "checkpointMade" ? (this.#run.find(({ seq }) => seq > first.seq) ?? first) : first;
    if (answer.body.case === "modelReplied") return answer.body.value;
    if (answer.body.case === "modelFailed") {
      const { kind, message, attempts } = answer.body.value;
      throw new ModelError(kind as ModelFailureKind, message, { attempts });
    }
    // Cut in the middle of an append.
    if (answer.body.case === "checkpointMade") throw this.#recording.stops("over");
    if (letIn.length === 0) throw this.#recording.differs(first.seq, `recorded ${first.body.case}; now the model is asked`);
    // What came in has stopped the call.
    if (!signal.aborted) await once(signal, "abort");
    throw new ModelError("cancelled", "stopped");
  }

  #toolSession(): Promise<ToolSession> {
    const failure = this.#failure("sandbox:", SANDBOX_START);
    if (failure !== undefined && (failure.code as string) !== "gone") return Promise.reject(failure);
    const values = new Map<string, object>();
    // Recorded tools never reach into it, except for the task list that is put back.
    return Promise.resolve({
      sandbox: { gone: this.#gone.promise } as Sandbox,
      get: <T extends object>(key: string, make: () => T): T => {
        const value = values.get(key) ?? make();
        values.set(key, value);
        return value as T;
      },
    } as ToolSession);
  }

  #checkpointer(): Checkpointer {
    const unused = async (): Promise<never> => {
      throw new GuildError("unsupported", "a replay restores nothing");
    };
    return { capture: async () => this.#capture(), restore: unused, diff: unused, close: async () => undefined };
  }

  /** The first capture of a run was the state before its first reply or action; a later one comes after observations. */
  #capture(): Checkpoint {
    const { events, present } = this.#recording;
    const first = this.#captures++ === 0;
    const passed = new Set<string | undefined>(first ? ["modelFailed", "noticeGiven", "contextCondensed"] : ["actionFinished"]);
    const next = this.#recording.upcoming().find(({ body }) => !passed.has(body.case));
    if (next?.body.case === "checkpointMade") {
      const { tree, changedFiles, storedBytes, omitted } = next.body.value;
      return { tree, changedFiles, storedBytes: Number(storedBytes), omitted };
    }
    const ends = this.#recording.upcoming().find(({ body }) => !passed.has(body.case) && !(first && body.case === "modelReplied"));
    const failure = this.#failure("checkpoint:", NO_CHECKPOINT);
    if (failure !== undefined && ends?.body.case === "turnEnded") throw failure;
    // Nothing had changed: the log's last tree.
    const trees = events.slice(0, present).flatMap(({ body }) => {
      if (body.case === "checkpointMade" || (body.case === "sessionRewound" && body.value.tree !== "")) return [body.value.tree];
      return [];
    });
    return { tree: trees.at(-1) ?? "", changedFiles: 0, storedBytes: 0, omitted: "" };
  }

  /** The policy's word on each action, as it was. */
  #approvals(): Approvals {
    return {
      judge: ({ callId }) => {
        const next = this.#imminent(callId)?.body;
        if (next?.case === "actionStarted") return { decision: "allow" };
        if (next?.case === "actionFinished") {
          const [, reason] = POLICY_REFUSAL.exec(next.value.output) ?? [];
          if (reason !== undefined) return { decision: "refuse", reason };
        }
        const { events, present } = this.#recording;
        const before = events
          .slice(0, present)
          .findLast(({ body }) => body.case === "approvalRequested" && body.value.callId === callId)?.body;
        const question = next?.case === "approvalRequested" ? next : before;
        if (question?.case !== "approvalRequested") return { decision: "allow" };
        const { reason, rule, actionDigest: digest, dataLeaves } = question.value;
        return { decision: "ask", reason, rule, digest, dataLeaves };
      },
    };
  }

  /** What this run does next about a call, as far as it goes without anybody else. */
  #imminent(callId: string): Event | undefined {
    const { events, present } = this.#recording;
    for (const event of events.slice(present)) {
      if (!this.#own.has(event)) return undefined;
      if (concerns(event.body, callId)) return event;
    }
    return undefined;
  }

  #budgets(): Budgets {
    return {
      reserve: async () => {
        const next = this.#recording.next()?.body;
        if (next?.case === "turnEnded" && next.value.detail === "budget") throw new GuildError("resource_exhausted", next.value.summary);
        return { id: "" };
      },
      settle: async () => undefined,
    };
  }

  /** Stands at the next event's time, so that a question that nobody answered in time goes unanswered again; only waits that are over end. */
  #clock(): Clock {
    const now = () => {
      const event = this.#recording.next() ?? this.#recording.events.at(-1);
      return event?.time === undefined ? 0 : timestampMs(event.time);
    };
    return {
      now: () => new Date(now()),
      monotonic: now,
      sleep: async (ms, signal) => {
        if (ms <= 1) return;
        await new Promise<void>((resolve) => {
          if (signal?.aborted === true) resolve();
          else signal?.addEventListener("abort", () => resolve(), { once: true });
        });
        signal?.throwIfAborted();
      },
    };
  }

  #waiting(reason: string): void {
    if (!reason.startsWith("approval") || this.#recording.letIn().length > 0) return;
    const next = this.#recording.nextOfRun();
    // Time alone ends a wait for a person, by closing the call; that cannot come to nothing twice.
    if (next.body.case !== "actionFinished" || this.#waitedAt === this.#recording.present) {
      throw this.#recording.differs(next.seq, `recorded ${next.body.case}; now a person is waited for`);
    }
    this.#waitedAt = this.#recording.present;
  }

  /** The failure by which the recorded run ended, if it was of this kind. */
  #failure(kind: string, prefix: string): GuildError | undefined {
    const end = this.#run.findLast(({ body }) => body.case === "turnEnded")?.body;
    if (end?.case !== "turnEnded" || !end.value.detail.startsWith(kind)) return undefined;
    return new GuildError(end.value.detail.slice(kind.length) as ErrorCode, end.value.summary.slice(prefix.length));
  }
}

function concerns(content: Event["body"], callId: string): boolean {
  switch (content.case) {
    case "actionStarted":
    case "actionFinished":
    case "approvalRequested":
      return content.value.callId === callId;
    default:
      return false;
  }
}

function isRestart(content: Event["body"]): boolean {
  return content.case === "noticeGiven" && content.value.kind === "restart";
}

/** Has a name and does nothing: observations come from the log. */
function recordedTool(name: string): Tool {
  return defineTool({
    name,
    description: "",
    schema: z.object({}),
    source: "replay",
    risk: () => Risk.UNSPECIFIED,
    resources: () => [],
    execute: async () => ({ status: "error", output: "a recorded tool does not run" }),
  });
}

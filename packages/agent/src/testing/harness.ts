import { body, type Event, type EventBody, foldAll, type ModelError, type SessionKey, type SessionState } from "@guildhall/core";
import { FakeToolSession, MemoryEventLog, type SimulatedClock, simulatedClock } from "@guildhall/core/testing";
import { Control, type TurnEnded } from "@guildhall/protocol";

import type { RunDeps } from "../run-deps.ts";
import { runSession } from "../run-session.ts";
import { FakeModel, type FakeReply, type FakeTurn } from "./fake-model.ts";
import { World } from "./world.ts";

export interface HarnessOptions {
  limits?: { maxSteps?: number; maxTokens?: number; maxCostUsd?: number; maxSeconds?: number };
  approvalPolicy?: string;
  deps?: Partial<RunDeps>;
  clock?: SimulatedClock;
}

/** A session over the log in memory, with a world to act on and a model that follows a script. */
export class Harness {
  readonly key: SessionKey = { tenant: "local", session: "ses_1" };
  readonly clock: SimulatedClock;
  readonly log: MemoryEventLog;
  readonly world = new World();
  readonly models: FakeModel[] = [];
  turns: FakeTurn[] | ((step: number) => FakeTurn);
  /** How far the log's clock is set from that of the workers, milliseconds. */
  logAheadMs = 0;
  #workers = 0;
  readonly #options: HarnessOptions;

  private constructor(turns: FakeTurn[] | ((step: number) => FakeTurn), options: HarnessOptions) {
    this.turns = turns;
    this.#options = options;
    this.clock = options.clock ?? simulatedClock();
    this.log = new MemoryEventLog({ clock: { now: () => new Date(this.clock.now().getTime() + this.logAheadMs) } });
  }

  static async start(turns: FakeTurn[] | ((step: number) => FakeTurn), options: HarnessOptions & { goal?: string } = {}): Promise<Harness> {
    const harness = new Harness(turns, options);
    const { maxTokens = 0, ...limits } = options.limits ?? {};
    const started = body.sessionStarted({
      workspace: "/w",
      model: "fake/model",
      sandbox: "fake",
      approvalPolicy: options.approvalPolicy ?? "never",
      systemPrompt: "You are an agent in a test.",
      limits: { ...limits, maxTokens: BigInt(maxTokens) },
    });
    const events: EventBody[] = [started, body.messageReceived({ text: options.goal ?? "Do it.", messageId: "msg_goal" })];
    await harness.log.createSession({ ...harness.key, title: "test", workspace: "/w", actor: "person:test", events });
    return harness;
  }

  /** Everything that one run needs; a new worker each time. */
  deps(overrides: Partial<RunDeps> = {}): RunDeps {
    this.#workers += 1;
    return {
      log: this.log,
      key: this.key,
      worker: `w${this.#workers}`,
      takeover: true,
      openModel: async ({ step }) => {
        const model = new FakeModel(this.turns, { step });
        this.models.push(model);
        return model;
      },
      tools: this.world.tools,
      toolSession: Promise.resolve(new FakeToolSession()),
      checkpointer: Promise.resolve(this.world.checkpointer()),
      clock: this.clock,
      unattended: true,
      ...this.#options.deps,
      ...overrides,
    };
  }

  run(overrides: Partial<RunDeps> = {}, signal: AbortSignal = new AbortController().signal): Promise<TurnEnded> {
    return runSession(this.deps(overrides), signal);
  }

  async say(text: string): Promise<void> {
    await this.input(body.messageReceived({ text }));
  }

  async control(control: Control, limits?: { maxSteps?: number }): Promise<void> {
    await this.input(body.controlRequested({ control, reason: "", ...(limits === undefined ? {} : { limits }) }));
  }

  interrupt(): Promise<void> {
    return this.control(Control.INTERRUPT);
  }

  /** Decides the first question that is open, else the last that was asked. */
  async decide(granted: boolean, changes: { actionDigest?: string; comment?: string } = {}): Promise<void> {
    const open = (await this.state()).open.find((call) => call.approval !== undefined && call.approval.decision === undefined)?.approval;
    const last = (await this.events()).findLast((event) => event.body.case === "approvalRequested")?.body;
    if (last?.case !== "approvalRequested") throw new RangeError("nothing was asked");
    const { approvalId, actionDigest } = open === undefined ? last.value : { approvalId: open.approvalId, actionDigest: open.digest };
    await this.input(body.approvalDecided({ approvalId, actionDigest, granted, ...changes }));
  }

  async input(event: EventBody): Promise<void> {
    await this.log.appendInput(this.key, "person:test", [event]);
  }

  events(): Promise<Event[]> {
    return this.log.read(this.key, 1, 100_000);
  }

  async state(): Promise<SessionState> {
    return foldAll(await this.events());
  }

  /** The log in short: `modelReplied`, `actionStarted call_1_1`, … */
  async kinds(): Promise<string[]> {
    return (await this.events()).map((event) => event.body.case ?? "unknown");
  }

  /** Messages of the last request. */
  get lastRequest(): FakeModel["requests"][number] {
    const request = this.models.flatMap((model) => model.requests).at(-1);
    if (request === undefined) throw new RangeError("the model was not asked");
    return request;
  }
}

/** Calls of tools of the World. */
export function does(name: string, more: Record<string, unknown> = {}): { tool: string; args: unknown } {
  return { tool: "do", args: { name, ...more } };
}

export function looks(name: string, more: Record<string, unknown> = {}): { tool: string; args: unknown } {
  return { tool: "look", args: { name, ...more } };
}

export function finishes(summary = "done", done = true): FakeReply {
  return { calls: [{ tool: "finish", args: { summary, done } }] };
}

export type { FakeReply, FakeTurn, ModelError };

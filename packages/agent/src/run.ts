import {
  APPROVAL_POLICIES,
  approvalPolicy,
  type Approvals,
  body,
  type CommandJudge,
  type EventBody,
  GuildError,
  ModelError,
  type ModelListener,
  type OpenCall,
  type SessionState,
  type ToolResult,
} from "@guildhall/core";
import { type TurnEnded, TurnEndReason } from "@guildhall/protocol";

import { condense, type ContextBudget, contextBudget } from "./condense.ts";
import { decide, type Next, turnEnd } from "./decide.ts";
import { Journal } from "./journal.ts";
import { JudgedActions } from "./judged-actions.ts";
import { LOST, MaskedCalls } from "./masked-calls.ts";
import { RESTART_NOTICE } from "./notices.ts";
import { OpenedModel } from "./opened-model.ts";
import type { Rules } from "./rules.ts";
import type { RunDeps } from "./run-deps.ts";
import { RunParts } from "./run-parts.ts";
import { Snapshots } from "./snapshots.ts";
import { OpenedTools, prepareCall, type PreparedCall, type RawCall } from "./tools/index.ts";
import type { Rendered } from "./view.ts";

/** The parts of a run that a replay takes from the log. */
export interface Recorded extends Pick<Rules, "activeMs" | "prepare" | "held" | "condense"> {
  /** The observation of a call, in place of running it. */
  perform(call: PreparedCall): Finished;
}

/** What came of a call. */
export interface Finished {
  event: EventBody;
  finish: ToolResult["finish"];
}

/** One turn of one session in the hands of one worker: what its steps share. */
export class Run {
  readonly deps: RunDeps;
  readonly journal: Journal;
  /** Stops everything at once. */
  readonly signal: AbortSignal;
  readonly model: OpenedModel;
  readonly snapshots: Snapshots;
  readonly rendered: Rendered = new WeakMap();
  readonly opened = new OpenedTools();
  readonly parts: RunParts;
  readonly assessed: JudgedActions;
  readonly masked: MaskedCalls;
  /** The end of the turn, once this run has written it. */
  end: TurnEnded | undefined;
  #ownPolicy: Approvals | undefined;
  #judge: CommandJudge | undefined;
  #judging: Promise<void> | undefined;
  /** By the steady clock, when the turn began, if nobody had rested from it since. */
  readonly #began: number;
  /** Undefined: this is no replay. */
  readonly recorded: Recorded | undefined;

  /** Takes the lease and reads the log; see Journal.open. */
  static async open(deps: RunDeps, signal: AbortSignal, recorded?: Recorded): Promise<Run> {
    const { log, key, worker, leaseMs = 15_000, takeover = false, clock, faults } = deps;
    const journal = await Journal.open({ log, key, worker, leaseMs, takeover, clock, faults });
    return new Run(deps, journal, signal, recorded);
  }

  private constructor(deps: RunDeps, journal: Journal, signal: AbortSignal, recorded: Recorded | undefined) {
    this.deps = deps;
    this.journal = journal;
    this.signal = signal;
    this.recorded = recorded;
    const { turn } = journal.state;
    this.#began = deps.clock.monotonic() - (turn.open ? turn.activeMs : 0);
    this.model = new OpenedModel((wanted) => deps.openModel(wanted));
    this.snapshots = new Snapshots(deps.checkpointer, deps.faults);
    this.parts = new RunParts(deps);
    this.masked = new MaskedCalls(deps.masker);
    this.assessed = new JudgedActions(recorded === undefined ? deps.actionJudge : undefined);
    // Whoever needs it awaits it; a failure before that must not count as one that nobody saw.
    deps.toolSession.catch(() => undefined);
  }

  /** The first append of an open turn: who works here now, and what that does to calls left open. */
  async begin(): Promise<void> {
    if (!this.journal.state.turn.open) return;
    if (this.journal.state.open.length > 0) {
      await this.judged();
      await this.assess(this.journal.state.open.flatMap((call) => this.masked.written(call) ?? []));
    }
    const lease = body.leaseTaken({ workerId: this.deps.worker, epoch: this.journal.epoch, unattended: this.deps.unattended });
    const failure = await this.openModel();
    await this.commit((state) => {
      const restarted = this.deps.toolsKept !== true && state.observations.length > 0;
      return [lease, ...(restarted ? [body.noticeGiven({ kind: "restart", text: RESTART_NOTICE })] : []), ...failure];
    });
  }

  /** What happens next, by everything that is known now. Throws `cancelled` when this worker is to stop before it. */
  next(): Next {
    const next = decide(this.journal.catchUp(), this.#rules());
    const leave = this.signal.aborted || (this.#draining && next.do !== "act");
    if (leave && next.do !== "rest") {
      throw new GuildError("cancelled", "the worker stops; the session can go on elsewhere", { subject: this.deps.key.session });
    }
    return next;
  }

  /**
   * Milliseconds that the open turn was worked on, here and by those before us as far as they have told: no clock on a wall is asked, because
   * that of the log, of another worker or of this machine may have been set meanwhile.
   */
  activeMs(state: SessionState): number {
    return this.recorded?.activeMs(state) ?? this.deps.clock.monotonic() - this.#began;
  }

  /** Appends what `make` says and all that follows from it without an effect; see Journal.commit. */
  async commit(make: (state: SessionState) => EventBody[]): Promise<void> {
    const timed = (state: SessionState, events: EventBody[]): EventBody[] => {
      for (const { case: kind, value } of events)
        if (kind === "modelReplied" || kind === "turnEnded") value.activeMs = Math.min(Math.ceil(this.activeMs(state)), 2 ** 32 - 1);
      return events;
    };
    const follows = (state: SessionState): EventBody[] => {
      const next = decide(state, this.#rules());
      return next.do === "record" ? next.events : [];
    };
    const events = await this.journal.commit(
      (state) => timed(state, make(state)),
      (state) => timed(state, follows(state)),
    );
    for (const event of events) if (event.case === "turnEnded") this.end = event.value;
  }

  /** Sees to it that the risk of calls can be told; returns at once when it can, or need not. Never rejects: what cannot be told is high. */
  judged(): Promise<void> {
    const { commandJudge } = this.deps;
    const policy = this.journal.state.info.approvalPolicy;
    if (commandJudge === undefined || this.recorded !== undefined || policy === "never") return Promise.resolve();
    return (this.#judging ??= commandJudge().then(
      (judge) => void (this.#judge = judge),
      (error: unknown) => {
        const judge = (): never => {
          throw GuildError.from(error);
        };
        this.#judge = { judge };
      },
    ));
  }

  /** Has calls judged by the further judge, where there is one and the policy asks by risk. Never rejects. */
  async assess(calls: readonly RawCall[]): Promise<void> {
    const { approvalPolicy: policy, workspace } = this.journal.state.info;
    if (this.recorded !== undefined || (policy !== "" && policy !== "risky")) return;
    const prepared = calls.flatMap((call) => {
      const outcome = prepareCall(this.deps.tools, call, this.#judge);
      return "prepared" in outcome ? [outcome.prepared] : [];
    });
    await this.assessed.judge(prepared, workspace, this.signal);
  }

  /** Opens the model that the session names, if another is open; returns the events that end the turn when that fails. */
  async openModel(): Promise<EventBody[]> {
    const { info, steps } = this.journal.state;
    try {
      await this.model.open({ spec: info.model, baseUrl: info.baseUrl, step: steps });
      return [];
    } catch (error) {
      if (error instanceof ModelError) return [turnEnd(TurnEndReason.FAILED, error.message, `model:${error.kind}`)];
      const { line, code } = GuildError.from(error);
      return [turnEnd(TurnEndReason.FAILED, line, `model:${code}`)];
    }
  }

  /** Waits for a person. */
  async ask(until: number): Promise<void> {
    const { drain } = this.deps;
    const asked = this.journal.state.open.find((call) => call.approval !== undefined && call.approval.decision === undefined);
    this.waiting(`approval ${asked?.tool ?? ""}`);
    await this.journal.arrival(until, this.signal, ...(drain === undefined ? [] : [drain]));
  }

  waiting(reason: string): void {
    this.deps.listener?.waiting?.(reason);
  }

  /** The listener for one model call, masked; `end` shows what masking has held back. */
  listener(): ModelListener & { end(): void } {
    const { listener = {}, masker } = this.deps;
    const [text, reasoning] = [masker?.stream(), masker?.stream()];
    const show = (sink: (delta: string) => void, delta: string) => (delta === "" ? undefined : sink(delta));
    return {
      text: (delta) => show((shown) => listener.text?.(shown), text?.push(delta) ?? delta),
      reasoning: (delta) => show((shown) => listener.reasoning?.(shown), reasoning?.push(delta) ?? delta),
      waiting: (reason) => listener.waiting?.(reason),
      end: () => {
        show((shown) => listener.reasoning?.(shown), reasoning?.end() ?? "");
        show((shown) => listener.text?.(shown), text?.end() ?? "");
      },
    };
  }

  get context(): ContextBudget {
    return contextBudget(this.model.info ?? { contextTokens: 0, maxOutputTokens: 0 }, this.deps.mostItems ?? 0);
  }

  async close(): Promise<void> {
    await Promise.all([this.journal.close(), this.model.close(), this.snapshots.settled()]);
  }

  get #draining(): boolean {
    return this.signal.aborted || this.deps.drain?.aborted === true;
  }

  /** The session's own policy. One that only a later version knows asks about everything. */
  #policy(): Approvals {
    const name = this.journal.state.info.approvalPolicy;
    const known = name === "" || APPROVAL_POLICIES.some((policy) => policy === name);
    return (this.#ownPolicy ??= approvalPolicy(known ? name : "always", {
      dataLeaving: this.deps.dataLeaving ?? "ask",
      rules: () => this.deps.approvalRules?.() ?? [],
    }));
  }

  #prepare(call: OpenCall): ReturnType<typeof prepareCall> {
    const written = this.masked.written(call);
    if (written === undefined) return { refused: { status: "error", output: LOST } };
    const outcome = this.assessed.applied(prepareCall(this.deps.tools, written, this.#judge));
    if ("refused" in outcome) return { refused: { ...outcome.refused, output: this.masked.mask(outcome.refused.output) } };
    // Whoever takes over cannot run it again.
    return call.masked === true ? { prepared: { ...outcome.prepared, repeatable: false } } : outcome;
  }

  /** A reason may quote what it is about. */
  #shown(verdict: ReturnType<Approvals["judge"]>): ReturnType<Approvals["judge"]> {
    return "reason" in verdict ? { ...verdict, reason: this.masked.mask(verdict.reason) } : verdict;
  }

  #rules(): Rules {
    const { deps, journal, model, context, recorded } = this;
    return {
      session: deps.key.session,
      epoch: journal.epoch,
      now: deps.clock.now().getTime(),
      activeMs: (state) => this.activeMs(state),
      unattended: deps.unattended,
      draining: this.#draining,
      prepare: (call) => recorded?.prepare(call) ?? this.#prepare(call),
      held: (call) => recorded?.held(call) ?? false,
      approvals: { judge: (action) => this.#shown((deps.approvals ?? this.#policy()).judge(action)) },
      approvalTtlMs: deps.approvalTtlMs ?? 24 * 3_600_000,
      priceKnown: model.info?.price !== undefined,
      condense: (state) =>
        recorded === undefined ? condense(state, context, deps.openSummariser !== undefined) : recorded.condense(state),
    };
  }
}

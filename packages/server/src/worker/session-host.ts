import { type RunDeps, runSession } from "@guildhall/agent";
import {
  body,
  type Clock,
  type EventLog,
  GuildError,
  type Ids,
  type Masker,
  type Sandbox,
  type SessionKey,
  type SessionRecord,
} from "@guildhall/core";
import { Control, TurnEndReason } from "@guildhall/protocol";

import type { Log } from "../daemon/log.ts";
import type { DeltaHub } from "./deltas.ts";
import { steadyClock } from "./steady-clock.ts";
import type { Workbench } from "./workbench.ts";

/** How a session is to be worked on. */
export interface RunOptions {
  /** Provider keys by variable name; in memory, for this session, until its workbench is closed. */
  credentials: Readonly<Record<string, string>>;
  /** Nobody is there to ask. */
  unattended: boolean;
  /** Whoever holds the session's lease has lost it: the pool has decided so. Default: as the host's runs are prepared. */
  takeover?: boolean;
}

export interface SessionHostDeps {
  log: EventLog;
  /** Everything of a run but what this host adds; `workbench` is the session's, and warm when it was kept. */
  prepareRun(record: SessionRecord, options: RunOptions, workbench: Workbench, masker: Masker): PreparedRun | Promise<PreparedRun>;
  openWorkbench(record: SessionRecord, masker: Masker): Promise<Workbench>;
  createMasker(credentials: Readonly<Record<string, string>>): Masker;
  deltas: DeltaHub;
  ids: Ids;
  clock: Clock;
  /** How long the sandbox of a resting session is kept warm, milliseconds. */
  keepWarmMs: number;
  /** Of a session, milliseconds; a lost worker's session can be taken over after this long. Default 10,000. */
  leaseMs?: number;
  /** Called when a session begins to run; the result when it rests. */
  busy(): () => void;
  journal: Log;
}

export type PreparedRun = Pick<RunDeps, "openModel" | "tools"> &
  Partial<
    Pick<
      RunDeps,
      "openSummariser" | "mostItems" | "approvalRules" | "actionJudge" | "budgets" | "faults" | "takeover" | "dataLeaving" | "repository"
    >
  >;

/** What is waited for work whose turn is over to leave its workspace, at most, milliseconds. */
export const leavingMs = 30_000;

/**
 * Runs the sessions of this daemon: one run a session and one running session a workspace at a time. Sandboxes stay warm between the turns of a
 * session for a while.
 */
export class SessionHost {
  readonly #deps: SessionHostDeps;
  readonly #worker: string;
  readonly #hosted = new Map<string, Hosted>();
  readonly #claimed = new Set<string>();
  #stopping = false;

  constructor(deps: SessionHostDeps) {
    this.#deps = deps;
    this.#worker = deps.ids.next("wrk");
  }

  /** Sessions that are worked on just now. */
  get running(): number {
    return [...this.#hosted.values()].filter((hosted) => hosted.run !== undefined).length;
  }

  get worker(): string {
    return this.#worker;
  }

  isRunning(session: string): boolean {
    return this.#hosted.get(session)?.run !== undefined;
  }

  /**
   * Keeps the workspace free for a session that is about to be created, until the result is called. Waits and throws as `untilFree` does; throws
   * `failed_precondition` too when another is about to begin there.
   */
  async claim(workspace: string): Promise<() => void> {
    await this.untilFree(workspace);
    if (this.#claimed.has(workspace)) {
      throw new GuildError("failed_precondition", "another session is about to begin in this workspace", {
        subject: workspace,
        remedy: "wait for it, or work in a copy",
      });
    }
    this.#claimed.add(workspace);
    return () => void this.#claimed.delete(workspace);
  }

  /** Waits for work there whose turn is over, which is about to leave, then checks as `checkFree` does. */
  async untilFree(workspace: string, of?: Pick<SessionRecord, "session" | "parent">): Promise<void> {
    for (const [session, hosted] of this.#hosted) {
      if (hosted.run === undefined || hosted.workspace !== workspace || session === of?.session) continue;
      const { turnOpen } = await this.#deps.log.getSession(hosted.key);
      if (!turnOpen) await this.rested(session, AbortSignal.timeout(leavingMs));
    }
    this.checkFree(workspace, of);
  }

  /** Throws `failed_precondition` when a session works in the workspace that is none of its family, `unavailable` when the daemon is about to end. */
  checkFree(workspace: string, of?: Pick<SessionRecord, "session" | "parent">): void {
    if (this.#stopping) throw new GuildError("unavailable", "the daemon is about to end", { remedy: "run the command again" });
    for (const [session, hosted] of this.#hosted) {
      if (hosted.run === undefined || hosted.workspace !== workspace || session === of?.session) continue;
      if (of !== undefined && hosted.family === this.#familyOf(of)) continue;
      throw new GuildError("failed_precondition", `session ${session} is at work in this workspace`, {
        subject: workspace,
        remedy: `wait for it, stop it with guild session interrupt ${session}, or work in a copy`,
      });
    }
  }

  /** Sees to it that the session is worked on as long as its turn is open. Returns at once; does nothing when it is running. */
  ensureRunning(record: SessionRecord, options: RunOptions): void {
    const hosted = this.#hosted.get(record.session) ?? this.#host(record);
    if (hosted.run !== undefined) return;
    this.checkFree(record.workspace, record);
    // What a resting session left running in the same workspace would get in the way of this one, and so would the last look at what it did.
    const resting = [...this.#hosted.values()].filter((other) => other !== hosted && other.workspace === record.workspace);
    const left = Promise.all(resting.map((other) => this.#coolSoon(other)));
    clearTimeout(hosted.cooling);
    const rest = this.#deps.busy();
    hosted.abort = new AbortController();
    hosted.drain = new AbortController();
    hosted.failure = undefined;
    hosted.credentials = { ...options.credentials };
    hosted.run = left
      .then(() => this.#work(record, hosted, { ...options, credentials: hosted.credentials }))
      .catch((error: unknown) => this.#failed(hosted, error))
      .finally(() => {
        hosted.run = undefined;
        this.#deps.deltas.clear(record.session);
        hosted.cooling = setTimeout(() => void this.#coolSoon(hosted), this.#deps.keepWarmMs);
        hosted.cooling.unref();
        rest();
        for (const wake of hosted.waiters.splice(0)) wake();
      });
  }

  /** The daemon is about to end. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Keys of a session at work; none when it rests. */
  credentialsOf(session: string): Readonly<Record<string, string>> {
    const hosted = this.#hosted.get(session);
    return hosted?.run === undefined ? {} : hosted.credentials;
  }

  /** Keys that a session at work may use from now on; does nothing when it rests. */
  addCredentials(session: string, credentials: Readonly<Record<string, string>>): void {
    const hosted = this.#hosted.get(session);
    if (hosted?.run === undefined) return;
    hosted.masker?.add(Object.values(credentials));
    Object.assign(hosted.credentials, credentials);
  }

  /** Somebody is at work whom the session has handed work to, or who has handed it work. */
  familyAtWork(session: string): boolean {
    const own = this.#hosted.get(session);
    return [...this.#hosted.values()].some((other) => other !== own && other.run !== undefined && other.family === own?.family);
  }

  /** Resolves when nobody works on the session any more, with what kept its run from ending its turn, if anything did. */
  async rested(session: string, signal?: AbortSignal): Promise<GuildError | undefined> {
    const hosted = this.#hosted.get(session);
    if (hosted === undefined || hosted.run === undefined) return hosted?.failure;
    await new Promise<void>((resolve) => {
      hosted.waiters.push(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
    return hosted.failure;
  }

  /** The session's workbench while nobody works on it; opened when there is none. Throws `failed_precondition` while it runs. */
  async borrow(record: SessionRecord): Promise<Workbench> {
    const hosted = this.#hosted.get(record.session) ?? this.#host(record);
    if (hosted.run !== undefined) {
      throw new GuildError("failed_precondition", "the session is running", {
        subject: record.session,
        remedy: `stop it first: guild session interrupt ${record.session}`,
      });
    }
    this.checkFree(record.workspace, record);
    return await this.#workbench(record, hosted);
  }

  /**
   * Has a run leave its session, whose turn stays open for another worker: at the next step boundary, or `now`, when calls under way end as
   * interrupted. `rested` tells when.
   */
  leave(session: string, how: { now: boolean }): void {
    const hosted = this.#hosted.get(session);
    const reason = new GuildError("cancelled", "the session is given back", { subject: session });
    if (how.now) hosted?.abort.abort(reason);
    else hosted?.drain.abort(reason);
  }

  /** Ends a run whose session is somebody else's by now: its sandbox dies before anything else. */
  async abandon(session: string): Promise<void> {
    const dead = this.#hosted.get(session)?.workbench?.kill();
    this.leave(session, { now: true });
    await dead;
  }

  /** The sandbox of a session that runs or rests warm; undefined: it has none. */
  sandbox(session: string): Promise<Sandbox> | undefined {
    const workbench = this.#hosted.get(session)?.workbench;
    return workbench === undefined || workbench.broken ? undefined : workbench.sandbox;
  }

  /** Closes the workbench of a resting session; the next turn opens another. */
  async cool(session: string): Promise<void> {
    const hosted = this.#hosted.get(session);
    if (hosted !== undefined && hosted.run === undefined) await this.#cool(hosted);
  }

  /**
   * Ends all work: running sessions are paused at their next safe point, or with `now` cut short, to be resumed later. Takes no more
   * sessions. Resolves when all sandboxes are gone.
   */
  async stop(how: { now: boolean }): Promise<void> {
    this.#stopping = true;
    const { log, journal } = this.#deps;
    for (const [session, hosted] of this.#hosted) {
      if (hosted.run === undefined) continue;
      if (how.now) {
        hosted.abort.abort(new GuildError("cancelled", "the daemon ends"));
        continue;
      }
      const pause = body.controlRequested({ control: Control.PAUSE, reason: "the daemon ends" });
      await log.appendInput(hosted.key, "system", [pause]).catch((error: unknown) => {
        journal.error(`${session}: cannot be paused, so it is cut short`, error);
        hosted.abort.abort(new GuildError("cancelled", "the daemon ends", { cause: error }));
      });
    }
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.run ?? Promise.resolve()));
    await Promise.all([...this.#hosted.values()].map((hosted) => this.#cool(hosted)));
  }

  #familyOf(record: Pick<SessionRecord, "session" | "parent">): string {
    if (record.parent === undefined) return record.session;
    return this.#hosted.get(record.parent)?.family ?? record.parent;
  }

  #host(record: SessionRecord): Hosted {
    const hosted: Hosted = {
      key: { tenant: record.tenant, session: record.session },
      workspace: record.workspace,
      family: this.#familyOf(record),
      workbench: undefined,
      run: undefined,
      abort: new AbortController(),
      drain: new AbortController(),
      cooling: undefined,
      masker: undefined,
      failure: undefined,
      credentials: {},
      waiters: [],
    };
    this.#hosted.set(record.session, hosted);
    return hosted;
  }

  async #workbench(record: SessionRecord, hosted: Hosted, masker = this.#deps.createMasker({})): Promise<Workbench> {
    if (hosted.workbench !== undefined && !hosted.workbench.broken) return hosted.workbench;
    await hosted.workbench?.close();
    hosted.masker = masker;
    hosted.workbench = await this.#deps.openWorkbench(record, masker);
    return hosted.workbench;
  }

  async #work(record: SessionRecord, hosted: Hosted, options: RunOptions): Promise<void> {
    const { log, deltas, clock } = this.#deps;
    const session = record.session;
    let current = record;
    do {
      const kept = hosted.workbench !== undefined && !hosted.workbench.broken;
      const workbench = await this.#workbench(current, hosted, this.#deps.createMasker(options.credentials));
      const masker = hosted.masker ?? this.#deps.createMasker(options.credentials);
      masker.add(Object.values(options.credentials));
      if (kept) await (await workbench.checkpointer).resume?.();
      // Whoever worked here last was killed: what it left is looked at first, whatever becomes of the run.
      else if (current.leaseExpires !== undefined) await workbench.checkpointer;
      const end = await runSession(
        {
          ...(await this.#deps.prepareRun(current, options, workbench, masker)),
          log,
          key: hosted.key,
          worker: this.#worker,
          leaseMs: this.#deps.leaseMs ?? sessionLeaseMs,
          drain: hosted.drain.signal,
          toolSession: workbench.toolSession,
          toolsKept: kept,
          checkpointer: workbench.checkpointer,
          parts: workbench.parts,
          partFailed: (part, error) => this.#deps.journal.warn(`${session}: ${part}: ${error.line}`),
          masker,
          clock: steadyClock(clock),
          unattended: options.unattended,
          listener: {
            text: (text) => deltas.publish(session, { text }),
            reasoning: (reasoning) => deltas.publish(session, { reasoning }),
            output: (callId, output) => deltas.publish(session, { callId, output }),
            waiting: (waiting) => deltas.publish(session, { waiting }),
          },
        },
        hosted.abort.signal,
      );
      // One that never was has said so where it was needed.
      await workbench.checkpointer.then(
        (own) => own.rest?.(),
        () => undefined,
      );
      if (end.reason === TurnEndReason.FAILED) this.#deps.journal.warn(`${session}: turn failed: ${end.summary}`);
      // A message that came while the turn was ending has opened the next one.
      const before = current.lastSeq;
      current = await log.getSession(hosted.key);
      if (current.lastSeq === before) break;
    } while (current.turnOpen && !this.#stopping && !hosted.drain.signal.aborted);
  }

  #failed(hosted: Hosted, error: unknown): void {
    const own = GuildError.from(error);
    hosted.failure = own;
    if (own.code !== "cancelled") this.#deps.journal.error(`${hosted.key.session}: the run broke off`, error);
  }

  #coolSoon(hosted: Hosted): Promise<void> {
    return this.#cool(hosted).catch((error: unknown) =>
      this.#deps.journal.error(`${hosted.key.session}: its sandbox did not end well`, error),
    );
  }

  async #cool(hosted: Hosted): Promise<void> {
    clearTimeout(hosted.cooling);
    if (hosted.run !== undefined) return;
    this.#hosted.delete(hosted.key.session);
    await hosted.workbench
      ?.close()
      .catch((error: unknown) => this.#deps.journal.error(`${hosted.key.session}: its sandbox did not end well`, error));
  }
}

/** What those who only need sessions to be worked on ask for: this host, or the pool that knows workers. */
export type SessionRunner = Pick<
  SessionHost,
  "running" | "worker" | "isRunning" | "claim" | "untilFree" | "ensureRunning" | "rested" | "borrow" | "cool" | "stop" | "addCredentials"
>;

/** A session that this daemon runs, or keeps warm. */
interface Hosted {
  readonly key: SessionKey;
  readonly workspace: string;
  /** The session at the root of those that hand work to each other: they share a workspace. */
  readonly family: string;
  workbench: Workbench | undefined;
  masker: Masker | undefined;
  run: Promise<void> | undefined;
  abort: AbortController;
  drain: AbortController;
  cooling: NodeJS.Timeout | undefined;
  failure: GuildError | undefined;
  /** Of the run under way. */
  credentials: Record<string, string>;
  waiters: Array<() => void>;
}

/** A lost worker's session can be taken over after this long, milliseconds. */
const sessionLeaseMs = 10_000;

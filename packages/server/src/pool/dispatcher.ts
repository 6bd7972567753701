import { GuildError, type NewSession } from "@guildhall/core";
import { decide, type Outcome, TrackRecord, type Worker as PoolWorker } from "@guildhall/orchestrator";
import { type TaskSpec, TaskState, type Worker } from "@guildhall/protocol";
import type { Hello, JoinRequest, RunOver } from "@guildhall/protocol/internal";

import type { TaskRecord } from "../storage/task-store.ts";
import { cancelSessions } from "./cancel-sessions.ts";
import { closeTurn } from "./close-turn.ts";
import { DeltaRelay } from "./delta-relay.ts";
import { describeWorker } from "./describe-worker.ts";
import type { DispatcherDeps } from "./dispatcher-deps.ts";
import { endDelivery } from "./end-delivery.ts";
import { expire } from "./expire.ts";
import { GraphKeeper } from "./graph-keeper.ts";
import { offerOf } from "./offer-of.ts";
import { asSchedulerWorker, checkHello, type Member, missedTime, newMember, seatOf, type ToWorker } from "./pool-members.ts";
import { POOL_TIMES, type PoolTimes } from "./pool-times.ts";
import { Rebalancer, takes } from "./rebalancer.ts";
import { Roster } from "./roster.ts";
import { asRunning, compareRows, givenAway, kindOf, overdue, POLICY, type Running, seenTwice } from "./running-task.ts";
import { checkLimits, describeShares, policyOf } from "./shares.ts";
import { TaskBoard } from "./task-board.ts";
import { checkPossible } from "./task-terms.ts";

/**
 * Brings tasks and workers together. What it decides is `decide`'s; what it knows of tasks is a copy of their rows, and a row changes only where
 * it still says what the copy says, so that several of these may share a database.
 */
export class Dispatcher {
  readonly #deps: DispatcherDeps;
  readonly #times: PoolTimes;
  readonly #members = new Map<string, Member>();
  readonly #tasks: TaskBoard;
  readonly #graphs: GraphKeeper;
  readonly #deltas: DeltaRelay;
  readonly #attended = new Set<string>();
  readonly #rebalancer: Rebalancer;
  readonly #record = new TrackRecord();
  #tick: NodeJS.Timeout | undefined;
  #ticks = 0;
  readonly #missed = missedTime(2_000);
  readonly #twice = { abandoned: seenTwice(), waiting: seenTwice() };
  #deciding: NodeJS.Immediate | undefined;
  readonly id: string;
  /** Of a shared database. */
  readonly roster: Roster | undefined;

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
    this.#tasks = new TaskBoard(() => deps.busy(), { now: () => deps.clock.monotonic(), ageingPerMinute: deps.ageingPerMinute });
    this.#times = deps.times ?? POOL_TIMES;
    this.#rebalancer = new Rebalancer(deps.journal);
    this.#graphs = new GraphKeeper(deps.tenant, deps.store);
    this.#deltas = new DeltaRelay(deps.deltas, (session) => this.#members.get(this.#tasks.workerOf(session) ?? ""), deps.elsewhere);
    this.id = deps.ids.next("wrk");
    this.roster = deps.shared && deps.workers !== undefined ? new Roster(deps.workers, { tenant: deps.tenant, owner: this.id }) : undefined;
  }

  /** Takes up what is stored. */
  async start(): Promise<void> {
    const open = await this.#deps.store.open(this.#deps.tenant);
    for (const task of open) if (task.state === TaskState.QUEUED) this.#enqueue(task);
    this.added(await this.#graphs.advanceAll(open));
    const failed = (error: unknown): void => this.#deps.journal.error("the pool cannot be watched", error);
    this.#tick = setInterval(() => void this.#watch().catch(failed), 1_000);
    this.#tick.unref();
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  /** Those of {@link members}, with what they work on. */
  get workers(): Worker[] {
    const now = this.#deps.clock.monotonic();
    return [...this.#members.values()].map((member) =>
      describeWorker(member, this.#tasks.runningOf(member.id), this.#record.distrust(seatOf(member), now)),
    );
  }

  get counts(): { queued: number; running: number } {
    return { queued: this.#tasks.waiting.size, running: this.#tasks.running.size };
  }

  /** Of all orchestrators that share the database, as of the last look. */
  get everywhere() {
    const { waiting, running } = this.#tasks;
    const all = [...running.values(), ...(this.roster?.elsewhere ?? [])].map(({ task }) => task);
    const shares = describeShares(this.#deps.shares(), waiting.values(), all);
    return { queued: waiting.size, running: all.length, shares };
  }

  /** Tasks that a worker works on. */
  tasksOf(member: string): TaskRecord[] {
    return this.#tasks.of(member);
  }

  runningIn(session: string): TaskRecord | undefined {
    return this.#tasks.ofSession(session);
  }

  /** A worker of this orchestrator has the session. */
  worksOn(session: string): boolean {
    return this.#members.has(this.#tasks.workerOf(session) ?? "");
  }

  runningAt(path: string): TaskRecord | undefined {
    return this.#tasks.at(path);
  }

  /**
   * Throws `failed_precondition` with the reason when no worker of the pool can ever take such a task; an empty pool may still grow. Where workers may
   * have joined another orchestrator the reason is returned instead.
   */
  checkPossible(spec: TaskSpec): string | undefined {
    checkLimits(spec, this.#deps.shares());
    return checkPossible(spec, this.#workers(), this.#deps);
  }

  /** Rows that were just stored as queued. */
  added(tasks: readonly TaskRecord[], attended = false): void {
    for (const task of tasks) {
      if (attended && task.session !== undefined) this.#attended.add(task.session);
      if (task.state === TaskState.QUEUED) this.#enqueue(task);
    }
  }

  /** Cancels a task and what depends on it. */
  async cancel(id: string): Promise<TaskRecord[]> {
    const { store, tenant, log } = this.#deps;
    const task = await store.get(tenant, id);
    const changed = await this.#graphs.cancel(task);
    for (const one of changed) this.#tasks.dequeue(one.id);
    await cancelSessions(log, this.id, changed);
    return changed;
  }

  async setPriority(id: string, priority: number): Promise<TaskRecord> {
    const task = await this.#deps.store.setPriority(this.#deps.tenant, id, priority);
    if (this.#tasks.waiting.has(id)) this.#enqueue(task);
    const running = this.#tasks.running.get(id);
    if (running !== undefined) running.task = { ...running.task, priority };
    return task;
  }

  /** Throws `not_found`. One that has joined another orchestrator is drained by that one, within seconds. */
  async drain(worker: string): Promise<void> {
    const member = this.#members.get(worker);
    if (member === undefined && (await this.roster?.drain(worker)) === true) return;
    if (member === undefined)
      throw new GuildError("not_found", `there is no worker ${worker}`, { subject: worker, remedy: "guild pool list shows them" });
    member.draining = true;
    member.send?.({ kind: { case: "drain", value: {} } });
  }

  /** A worker says hello, for the first time or again. Throws `version_mismatch`. */
  async join(hello: Hello, send: (message: ToWorker) => void, local: boolean): Promise<Member> {
    checkHello(hello);
    const { clock, store, tenant } = this.#deps;
    const member = newMember(hello, this.#members.get(hello.workerId), { send, heard: clock.monotonic(), local });
    this.#members.set(member.id, member);
    const { heartbeatMs, fenceMs, leaseMs } = this.#times;
    send({ kind: { case: "welcome", value: { orchestratorId: this.id, heartbeatMs, fenceMs, leaseMs } } });
    for (const { taskId, epoch } of hello.held) {
      const task = await store.adopt(tenant, taskId, epoch, this.id, this.#times.claimMs);
      if (task === undefined) send({ kind: { case: "stop", value: { taskId, epoch, now: true } } });
      else {
        this.#tasks.run(task, member.id);
        this.#deltas.kept(task.session ?? "");
      }
    }
    // What it was given and does not hold it has given up.
    const held = new Set(hello.held.map(({ taskId }) => taskId));
    for (const task of await store.open(tenant)) {
      if (task.state === TaskState.RUNNING && task.worker === member.id && !held.has(task.id))
        await this.#release(task, "its worker gave it up", false, { owner: task.claimOwner ?? "" });
    }
    // Told while its connection was broken: what it did not hear of is found in the row.
    for (const task of this.#tasks.of(member.id)) if (!held.has(task.id)) await this.#settled(task);
    this.#decideSoon();
    return member;
  }

  /** Something that a worker said. */
  async heard(member: Member, { kind }: JoinRequest): Promise<void> {
    // No sign of life: a worker whose hearing is cut off goes on telling.
    if (kind.case === "deltas") return this.#deltas.heard(member, kind.value);
    member.heard = this.#deps.clock.monotonic();
    if (kind.case === "heartbeat") {
      member.heard -= kind.value.silentMs;
      member.load = kind.value.load;
      member.warm = new Set(kind.value.warm);
      member.send?.({ kind: { case: "seen", value: {} } });
      if (!member.hears) this.#decideSoon();
      member.hears = true;
    } else if (kind.case === "answer" && !kind.value.accepted) {
      const running = this.#tasks.runningAs(kind.value);
      // A moment to breathe, so that refusal and offer do not chase each other.
      member.restUntil = member.heard + 500;
      if (running !== undefined) this.#note(member, running.task, "declined");
      if (running !== undefined) await this.#release(running.task, `refused: ${kind.value.reason}`, false);
    } else if (kind.case === "over") {
      const running = this.#tasks.runningAs(kind.value);
      if (running !== undefined) await this.#over(running, kind.value, member);
    } else if (kind.case === "stays") {
      const running = this.#tasks.runningAs(kind.value);
      if (running !== undefined) this.#rebalancer.stays(running, kind.value.held, member.heard);
    } else if (kind.case === "prepared") {
      const running = this.#tasks.runningAs(kind.value);
      if (running !== undefined) await this.#deps.store.setBase(running.task, kind.value.base);
    } else if (kind.case === "goodbye") {
      this.#members.delete(member.id);
      for (const task of this.#tasks.of(member.id)) await this.#release(task, "its worker left", true);
    }
  }

  /** Its connection broke; it may come back until it has been silent for too long. */
  disconnected(member: Member, send: (message: ToWorker) => void): void {
    if (member.send === send) member.send = undefined;
  }

  async stop(): Promise<void> {
    clearInterval(this.#tick);
    clearImmediate(this.#deciding);
    this.#tasks.close();
  }

  #enqueue(task: TaskRecord): void {
    this.#tasks.enqueue(task);
    this.#decideSoon();
  }

  #decideSoon(): void {
    this.#tasks.breathe();
    this.#deciding ??= setImmediate(() => {
      this.#deciding = undefined;
      this.#decide();
    });
  }

  #workers(): PoolWorker[] {
    const now = this.#deps.clock.monotonic();
    return [...this.#members.values()].map((member) => asSchedulerWorker(member, now, this.#record));
  }

  #decide(): void {
    const { queue, waiting, running } = this.#tasks;
    const all = [...this.#tasks.asRunning(), ...(this.roster?.elsewhere ?? []).map((one) => asRunning(one))];
    const { placements, preemptions } = decide(queue, this.#workers(), all, policyOf(POLICY, this.#deps.shares(), waiting.values()));
    for (const { task, worker } of placements) {
      const record = waiting.get(task);
      if (record === undefined) continue;
      this.#tasks.run(record, worker);
      this.#place(record, worker).catch((error: unknown) => this.#deps.journal.error(`${task}: cannot be placed`, error));
    }
    for (const { victim } of preemptions) {
      const own = running.get(victim);
      if (own === undefined || own.yielding) continue;
      own.yielding = true;
      this.#members.get(own.member)?.send?.({ kind: { case: "stop", value: { taskId: victim, epoch: own.task.epoch, now: false } } });
    }
  }

  async #place(task: TaskRecord, worker: string): Promise<void> {
    const { store, draft, tenant, log } = this.#deps;
    let session: NewSession | undefined;
    try {
      session = task.session === undefined ? await draft(task) : undefined;
    } catch (error) {
      this.#tasks.forget(task.id);
      const changes = await store.change(tenant, [
        { id: task.id, from: [TaskState.QUEUED], to: TaskState.FAILED, reason: GuildError.from(error).line },
      ]);
      if (changes.length > 0) await this.#ended(task);
      return;
    }
    const claimed = await store.claim(task, { worker, owner: this.id, claimMs: this.#times.claimMs }, session).catch((error: unknown) => {
      // Whatever kept the store from it, the row says what holds: it is looked at again.
      this.#deps.journal.error(`${task.id}: cannot be claimed`, error);
      return "again" as const;
    });
    if (claimed === undefined || claimed === "again") {
      this.#tasks.forget(task.id);
      if (claimed === "again") setTimeout(() => this.#enqueue(task), 500).unref();
      return;
    }
    this.#tasks.run(claimed, worker);
    // It has left while the row was being changed, and nobody would hear of it again.
    if (!this.#members.has(worker)) return await this.#release(claimed, "its worker left", false);
    const key = { tenant, session: claimed.session ?? "" };
    const message = await offerOf(log, claimed, { fresh: session !== undefined, unattended: !this.#attended.has(key.session) });
    // Where it has just gone, its silence is found out.
    this.#members.get(worker)?.send?.(message);
    this.#deltas.given(key.session);
  }

  async #over(running: Running, { ended, yielded, reason, undelivered, done }: RunOver, member: Member): Promise<void> {
    const { task } = running;
    if (done) this.#note(member, task, "done");
    if (!ended && !yielded && reason !== "") this.#note(member, task, "failed");
    if (ended) {
      await endDelivery(this.#deps, task, undelivered);
      await this.#ended(task);
    } else if (yielded && running.to !== undefined) {
      await this.#handOver(task, running);
    } else {
      await this.#release(task, reason || (yielded ? "made room for another" : "its worker gave it up"), !yielded);
    }
  }

  /** To the worker that it was to move to, which has kept room for it; into the queue where that has gone meanwhile. */
  async #handOver(task: TaskRecord, moving: Running): Promise<void> {
    const waiting = await this.#deps.store.release(task, "moves to a freer worker", false, { owner: this.id });
    if (waiting === undefined) return await this.#settled(task);
    if (takes(this.#members, moving.to ?? "") === undefined) return this.#enqueue(waiting);
    this.#tasks.run(waiting, moving.to ?? "");
    await this.#place(waiting, moving.to ?? "");
  }

  /** What became of a task at a worker, for what the worker is given next. */
  #note(member: Member, { id, spec }: TaskRecord, outcome: Outcome): void {
    this.#record.note({ seat: seatOf(member), task: id, kind: kindOf(spec) }, outcome, this.#deps.clock.monotonic());
  }

  /** What follows from an end: dependants, and room for others. */
  async #ended(task: TaskRecord): Promise<void> {
    this.#tasks.ended(task.id);
    this.#decideSoon();
    const changed = await this.#graphs.advance(task.graph);
    this.added(changed);
    if (task.session !== undefined) this.#attended.delete(task.session);
  }

  /** Back into the queue, or to its end when too many workers were lost with it. */
  async #release(task: TaskRecord, reason: string, lost: boolean, of: { owner: string } | "abandoned" = { owner: this.id }): Promise<void> {
    const { store, journal } = this.#deps;
    const most = task.spec.maxAttempts || 3;
    this.#tasks.forget(task.id);
    if (lost) journal.warn(`${task.id}: ${reason} (attempt ${task.attempt} of ${most})`);
    if (lost && task.attempt >= most) return await this.#giveUp(task, `${reason}; that was attempt ${task.attempt} of ${most}`);
    const waiting = await store.release(task, reason, lost, of);
    if (waiting !== undefined) this.#enqueue(waiting);
    else await this.#settled(task);
  }

  /** A task that is not ours to place any more: it has ended, or another orchestrator has it. */
  async #settled(task: TaskRecord): Promise<void> {
    const { state, claimOwner } = await this.#deps.store.get(this.#deps.tenant, task.id);
    if (state === TaskState.RUNNING && claimOwner === this.id) return;
    this.#tasks.forget(task.id);
    if (state > TaskState.HELD) await this.#ended(task);
  }

  /** Ends the session's turn for a task that nobody can work on; its row follows in the same statement. */
  async #giveUp(task: TaskRecord, reason: string): Promise<void> {
    const { log, store, tenant } = this.#deps;
    if (task.session !== undefined) await closeTurn(log, { tenant, session: task.session }, this.id, reason);
    await store.change(tenant, [{ id: task.id, from: [TaskState.RUNNING], to: TaskState.FAILED, reason }]);
    await this.#ended(task);
  }

  /** Once a second: silent workers, deadlines, and what other orchestrators left or brought. */
  async #watch(): Promise<void> {
    const { clock, store, tenant, shared } = this.#deps;
    const [now, deaf] = this.#missed(clock.monotonic());
    for (const member of this.#members.values()) {
      member.heard = Math.min(now, member.heard + deaf);
      if (now - member.heard <= this.#times.goneMs) continue;
      this.#members.delete(member.id);
      this.#deps.journal.warn(`worker ${member.id} is gone: silent for ${Math.round((now - member.heard) / 100) / 10} s`);
      const [first, ...others] = this.#tasks.of(member.id);
      // One loss, however many tasks it had.
      if (first !== undefined) this.#note(member, first, "lost");
      for (const task of first === undefined ? [] : [first, ...others]) await this.#release(task, "its worker was lost", true);
    }
    this.#rebalancer.look(this.#members, this.#tasks.running, this.#deps.rebalanceSeconds(), clock.monotonic());
    const { queue, waiting, running } = this.#tasks;
    for (const task of await overdue(store, this.#tasks.all)) {
      this.#tasks.dequeue(task.id);
      for (const failed of await expire(this.#deps, this.id, task)) await this.#ended(failed);
    }
    if (queue.size > 0) this.#decideSoon();
    if (++this.#ticks % 3 !== 0) return;
    const own = { tenant, owner: this.id, claimMs: this.#times.claimMs, twice: this.#twice.waiting };
    const gone = await givenAway(store, [...running.values()], own);
    for (const id of gone) this.#tasks.ended(id);
    if (!shared && this.#ticks % 6 !== 0) return;
    const abandoned = await store.abandoned(tenant);
    for (const task of shared ? this.#twice.abandoned(abandoned) : abandoned)
      if (!running.has(task.id)) await this.#release(task, "its orchestrator was lost", true, "abandoned");
    if (!shared) return;
    const open = await store.open(tenant);
    this.roster?.look(open.filter(({ id }) => !running.has(id)));
    for (const id of (await this.roster?.tell(this.workers)) ?? []) if (this.#members.get(id)?.draining === false) await this.drain(id);
    const { taken, left } = compareRows(open, waiting, running);
    for (const task of left) this.#enqueue(task);
    for (const id of taken) this.#tasks.dequeue(id);
    if (this.#ticks % 6 === 0) this.added(await this.#graphs.advanceAll(open));
  }
}

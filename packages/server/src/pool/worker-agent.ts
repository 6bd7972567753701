import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { type Clock, type EventLog, GuildError, type SessionRecord } from "@guildhall/core";
import { PROTOCOL_VERSION, TurnEndReason } from "@guildhall/protocol";
import { type JoinRequestSchema, type JoinResponse, type Offer, type Stop, WorkerService } from "@guildhall/protocol/internal";

import type { Log } from "../daemon/log.ts";
import { fromStatus } from "../rpc/from-status.ts";
import type { DeltaHub } from "../worker/deltas.ts";
import type { SessionHost } from "../worker/session-host.ts";
import { DeltaSender } from "./delta-sender.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import { POOL_TIMES } from "./pool-times.ts";
import type { WantedMoves } from "./wanted-moves.ts";

type Message = MessageInitShape<typeof JoinRequestSchema>;

/** What a worker says of itself. */
export interface WorkerFacts {
  version: string;
  /** Sessions at once. */
  slots: number;
  labels: Record<string, string>;
  roles: string[];
  environmentKinds: string[];
  /** See `workerPlace`. */
  seat: string;
  view: string;
}

export interface WorkerAgentDeps {
  host: SessionHost;
  log: EventLog;
  /** The orchestrators, in turn. */
  transports: ReadonlyArray<{ transport: Transport; address: string }>;
  facts: WorkerFacts;
  clock: Clock;
  journal: Log;
  /** Makes the workspace of an offer ready, before its session runs. */
  prepare(offer: Offer, record: SessionRecord): Promise<{ base: string }>;
  /** After its turn is done, before its task is. */
  deliver(offer: Offer, record: SessionRecord): Promise<void>;
  credentials(session: string): Record<string, string>;
  moves: Pick<WantedMoves, "ask" | "forget">;
  /** Where its sessions tell what is on its way. */
  deltas: Pick<DeltaHub, "subscribe">;
}

interface Work {
  offer: Offer;
  asked: boolean;
  fenced: boolean;
}

/**
 * A worker's side of the pool: dials an orchestrator, tells what it has to give and how busy it is, takes what it is offered, and gives up
 * everything when it hears nothing for too long, because by then it is given to somebody else.
 */
export class WorkerAgent {
  readonly #deps: WorkerAgentDeps;
  readonly #work = new Map<string, Work>();
  readonly #deltas: DeltaSender;
  readonly #end = new AbortController();
  readonly #cpu = measureCpu();
  #outbox: Outbox<Message> | undefined;
  #heard = 0;
  #fenceMs = POOL_TIMES.fenceMs;
  #leaseMs = POOL_TIMES.leaseMs;
  #looked = 0;
  #heartbeatMs = POOL_TIMES.heartbeatMs;
  #draining = false;
  #idle = Promise.withResolvers<void>();

  constructor(deps: WorkerAgentDeps) {
    this.#deps = deps;
    this.#deltas = new DeltaSender(deps.deltas);
  }

  get id(): string {
    return this.#deps.host.worker;
  }

  /** Stays joined until `stop`; comes back by itself when the connection or the orchestrator is lost. */
  async run(): Promise<void> {
    const { transports, clock, journal } = this.#deps;
    this.#heard = clock.monotonic();
    const watch = setInterval(() => this.#lookOut(), LOOK_OUT_MS).unref();
    let told = "";
    try {
      for (let turn = 0; !this.#end.signal.aborted; turn++) {
        const peer = transports[turn % transports.length];
        if (peer === undefined) return;
        try {
          await this.#join(peer.transport);
        } catch (error) {
          if (this.#end.signal.aborted) return;
          const meant = fromStatus(error, peer.address);
          if (
            GuildError.is(meant, "version_mismatch") ||
            GuildError.is(meant, "unauthenticated") ||
            GuildError.is(meant, "permission_denied")
          )
            throw meant;
          const { line } = GuildError.from(meant);
          // Once, however often it is tried.
          if (line !== told) journal.warn(`${peer.address}: ${line}; trying again`);
          told = line;
        }
        await sleep(turn < transports.length ? 50 : 300, undefined, { signal: this.#end.signal }).catch(() => undefined); // Ended meanwhile.
      }
    } finally {
      clearInterval(watch);
    }
  }

  /** Takes nothing new, gives back what it has at step boundaries (or `now`), says goodbye, and leaves. */
  async stop(how: { now: boolean }): Promise<void> {
    this.#draining = true;
    for (const { offer } of this.#work.values()) this.#leave(offer, how.now);
    if (this.#work.size > 0) await this.#idle.promise;
    this.#outbox?.push({ kind: { case: "goodbye", value: {} } });
    this.#outbox?.end();
    await sleep(20);
    this.#end.abort();
  }

  async #join(transport: Transport): Promise<void> {
    const client = createClient(WorkerService, transport);
    // How busy it is now, not how busy it has been.
    const outbox = createOutbox<Message>({ about: ({ kind }) => (kind?.case === "heartbeat" ? kind.case : undefined) });
    outbox.push({ kind: { case: "hello", value: this.#hello() } });
    // From now on, for what it says that it holds may be over before it is welcome, and nobody would hear of that again.
    this.#outbox = outbox;
    let beat: NodeJS.Timeout | undefined;
    // No answer in time is as good as no connection.
    const silent = new AbortController();
    const signal = AbortSignal.any([this.#end.signal, silent.signal]);
    try {
      for await (const message of client.join(outbox.items(), { signal })) {
        // Messages that waited while this process was suspended are no sign that it was heard of meanwhile.
        this.#fenceWhenSilent(this.#leaseMs);
        this.#heard = this.#deps.clock.monotonic();
        if (message.kind.case === "welcome") {
          this.#fenceMs = message.kind.value.fenceMs;
          this.#leaseMs = message.kind.value.leaseMs;
          this.#heartbeatMs = message.kind.value.heartbeatMs;
          this.#deps.journal.info(`${this.id} has joined ${message.kind.value.orchestratorId}`);
          const tell = (): void => {
            if (this.#deps.clock.monotonic() - this.#heard > this.#leaseMs) silent.abort();
            // An answer is as old as the heartbeat before: only what is beyond that is silence.
            const silentMs = Math.round(Math.max(0, this.#deps.clock.monotonic() - this.#heard - this.#heartbeatMs));
            outbox.push({ kind: { case: "heartbeat", value: { load: this.#cpu(), warm: this.#warm(), silentMs } } });
          };
          beat ??= setInterval(tell, message.kind.value.heartbeatMs);
          // At once: until then nobody knows that it hears.
          tell();
        }
        this.#receive(message, outbox);
      }
    } finally {
      clearInterval(beat);
      this.#deltas.endAll();
      outbox.end();
      if (this.#outbox === outbox) this.#outbox = undefined;
    }
  }

  #hello() {
    const { facts, host } = this.#deps;
    const { slots, ...said } = facts;
    return {
      workerId: host.worker,
      ...said,
      protocolMin: 1,
      protocolMax: PROTOCOL_VERSION,
      capacity: { cpu: cpus().length, memoryBytes: BigInt(totalmem()), diskBytes: 0n, slots },
      warm: this.#warm(),
      held: [...this.#work.values()].filter(({ fenced }) => !fenced).map(({ offer }) => ({ taskId: offer.taskId, epoch: offer.epoch })),
    };
  }

  #warm(): string[] {
    return [...new Set([...this.#work.values()].map(({ offer }) => offer.directory))];
  }

  #receive({ kind }: JoinResponse, outbox: Outbox<Message>): void {
    if (kind.case === "offer") {
      // Heard twice: it is being worked on.
      if (this.#work.get(kind.value.taskId)?.offer.epoch === kind.value.epoch) return;
      const refusal = this.#refusal(kind.value);
      const { taskId, epoch } = kind.value;
      outbox.push({ kind: { case: "answer", value: { taskId, epoch, accepted: refusal === undefined, reason: refusal ?? "" } } });
      if (refusal === undefined)
        this.#take(kind.value).catch((error: unknown) => this.#deps.journal.error(`${taskId}: cannot be told of`, error));
    } else if (kind.case === "stop") {
      const own = this.#work.get(kind.value.taskId);
      if (own?.offer.epoch === kind.value.epoch) this.#stop(own.offer, kind.value);
    } else if (kind.case === "listen") {
      const { session, on } = kind.value;
      // What it does not work on would never end.
      const own = [...this.#work.values()].some(({ offer }) => offer.session?.session === session);
      if (on && own) this.#deltas.begin(session, outbox);
      else this.#deltas.end(session);
    } else if (kind.case === "drain") {
      this.#draining = true;
      for (const { offer } of this.#work.values()) this.#leave(offer, false);
    }
  }

  #stop(offer: Offer, { now, move }: Stop): void {
    if (move === "") return this.#leave(offer, now);
    const { taskId, epoch } = offer;
    this.#deps.moves.ask(offer.session?.session ?? "", {
      why: move,
      leave: () => this.#leave(offer, false),
      stays: (held) => this.#outbox?.push({ kind: { case: "stays", value: { taskId, epoch, held } } }),
    });
  }

  #refusal(offer: Offer): string | undefined {
    if (this.#draining) return "it takes nothing new";
    if (this.#work.has(offer.taskId)) return "it is still ending its last work on it";
    if (this.#work.size >= this.#deps.facts.slots) return `all ${this.#deps.facts.slots} slots are taken`;
    try {
      this.#deps.host.checkFree(
        offer.directory,
        offer.session === undefined ? undefined : { session: offer.session.session, parent: undefined },
      );
      return undefined;
    } catch (error) {
      return GuildError.from(error).line;
    }
  }

  async #take(offer: Offer): Promise<void> {
    const { host, log, journal } = this.#deps;
    const { taskId, epoch } = offer;
    const work: Work = { offer, asked: false, fenced: false };
    this.#work.set(taskId, work);
    const key = { tenant: offer.session?.tenant ?? "", session: offer.session?.session ?? "" };
    let over = { ended: false, yielded: false, reason: "", undelivered: "", done: false };
    try {
      const record = await log.getSession(key);
      const { base } = await this.#deps.prepare(offer, record);
      if (base !== offer.base) this.#outbox?.push({ kind: { case: "prepared", value: { taskId, epoch, base } } });
      let failure: GuildError | undefined;
      // Where the turn has ended, whoever worked on it before has died over the delivery.
      if (record.turnOpen) {
        host.ensureRunning(record, { credentials: this.#deps.credentials(key.session), unattended: offer.unattended, takeover: true });
        if (work.asked) host.leave(key.session, { now: false });
        failure = await host.rested(key.session);
      }
      const after = await log.getSession(key);
      // Late with its lease, or not the one any more: that says nothing against the task.
      const yielded = work.asked || failure?.code === "lease_lost";
      over = { ...over, ended: !after.turnOpen, yielded, reason: failure?.line ?? "" };
      over.done = over.ended && after.lastTurnEnd?.reason === TurnEndReason.DONE;
      if (over.done) over.undelivered = await this.#deliver(offer, after);
    } catch (error) {
      journal.error(`${taskId}: cannot be worked on`, error);
      over = { ...over, reason: GuildError.from(error).line };
    } finally {
      // What it left running must be gone before anybody hears that it is over.
      await host.cool(key.session);
      this.#work.delete(taskId);
      this.#deps.moves.forget(key.session);
      this.#deltas.end(key.session);
      if (this.#work.size === 0) {
        this.#idle.resolve();
        this.#idle = Promise.withResolvers();
      }
    }
    // Of what was given up too: who was silent for a moment only is still believed to work on it. Where it is somebody else's by now its epoch says so.
    this.#outbox?.push({ kind: { case: "over", value: { taskId, epoch, ...over } } });
  }

  /** Why the result could not be delivered; empty: it was. */
  async #deliver(offer: Offer, record: SessionRecord): Promise<string> {
    try {
      await this.#deps.deliver(offer, record);
      return "";
    } catch (error) {
      this.#deps.journal.error(`${offer.taskId}: its result is not delivered`, error);
      return GuildError.from(error).line;
    }
  }

  #leave(offer: Offer, now: boolean): void {
    const own = this.#work.get(offer.taskId);
    if (own !== undefined) own.asked = true;
    this.#deps.host.leave(offer.session?.session ?? "", { now });
  }

  #lookOut(): void {
    const now = this.#deps.clock.monotonic();
    const late = now - this.#looked > 2 * LOOK_OUT_MS;
    this.#looked = now;
    // On a machine that has no time for us an answer may lie there unread: it is read before anything is given up, as long as sandboxes live.
    if (late && now - this.#heard < this.#leaseMs - 2 * LOOK_OUT_MS) return;
    this.#fenceWhenSilent();
  }

  #fenceWhenSilent(limitMs = this.#fenceMs): void {
    if (this.#work.size === 0 || this.#deps.clock.monotonic() - this.#heard <= limitMs) return;
    for (const work of this.#work.values()) {
      if (work.fenced) continue;
      work.fenced = true;
      this.#deps.journal.warn(`${work.offer.taskId}: given up, no orchestrator is heard of`);
      work.asked = true;
      const { taskId, session } = work.offer;
      this.#deps.host
        .abandon(session?.session ?? "")
        .catch((error: unknown) => this.#deps.journal.error(`${taskId}: its sandbox did not end well`, error));
    }
  }
}

/** Between two looks at how long nothing was heard, milliseconds. */
const LOOK_OUT_MS = 500;

/** Busy share of all CPUs of this machine since the last call. */
function measureCpu(): () => number {
  const read = (): { busy: number; all: number } => {
    let busy = 0;
    let all = 0;
    for (const { times } of cpus()) {
      const total = times.user + times.nice + times.sys + times.irq + times.idle;
      all += total;
      busy += total - times.idle;
    }
    return { busy, all };
  };
  let last = read();
  return () => {
    const now = read();
    const share = now.all > last.all ? (now.busy - last.busy) / (now.all - last.all) : 0;
    last = now;
    return share;
  };
}

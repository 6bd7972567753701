import { create, toBinary } from "@bufbuild/protobuf";
import { body, type Event, type EventBody } from "@guildhall/core";
import { ActionStatus, EventSchema } from "@guildhall/protocol";

/** Thrown out of a replayed run where the recorded worker stopped: `crash` when another took over, `over` when the log ends. */
export class ReplayStopped extends Error {
  override readonly name = "ReplayStopped";
  readonly why: "crash" | "over";

  constructor(why: "crash" | "over") {
    super(why);
    this.why = why;
  }
}

/** Thrown where a replayed run does something else than is recorded. */
export class ReplayDiffers extends Error {
  override readonly name = "ReplayDiffers";
  readonly seq: number;

  constructor(seq: number, what: string) {
    super(what);
    this.seq = seq;
  }
}

/**
 * A recorded log with a mark: what lies before it has happened again, what lies after is to come. Events of runs are made anew and
 * compared; all others (inputs, rewinds, what precedes a fork) come from outside and are let in where they came in.
 */
export class Recording {
  readonly events: readonly Event[];
  /** Events that have happened. */
  present = 0;
  /** Why the run at hand has to end, and the first difference; kept, because the loop takes what a model throws for a failure of the model. */
  stopped: ReplayStopped | undefined;
  difference: ReplayDiffers | undefined;
  readonly #freeWording: boolean;
  readonly #epochs: ReadonlySet<number>;
  readonly #given: number;
  #moved = Promise.withResolvers<void>();

  /** `freeWording`: what Guildhall itself says (notices, ends of turns, closings of calls) may have other words. */
  constructor(events: readonly Event[], freeWording = false) {
    this.events = events;
    this.#freeWording = freeWording;
    this.#epochs = new Set(events.flatMap((event) => (event.body.case === "leaseTaken" && event.epoch > 0 ? [event.epoch] : [])));
    this.#given = events.findLastIndex((event) => event.body.case === "sessionForked") + 1;
  }

  /** The next events that runs wrote, as far as `until` says; that one is not among them. */
  upcoming(until: (event: Event) => boolean = () => false): Event[] {
    const found: Event[] = [];
    for (let place = this.present; place < this.events.length; place += 1) {
      const event = this.events[place];
      if (event === undefined || !this.#isOfRun(event)) continue;
      if (until(event)) break;
      found.push(event);
    }
    return found;
  }

  /** The next event that a run wrote. */
  next(): Event | undefined {
    for (let place = this.present; place < this.events.length; place += 1) {
      const event = this.events[place];
      if (event !== undefined && this.#isOfRun(event)) return event;
    }
    return undefined;
  }

  /** The next event of the run that goes on; stops it where the recorded one stopped. */
  nextOfRun(): Event {
    const next = this.next();
    if (next === undefined) throw this.stops("over");
    if (next.body.case === "leaseTaken") throw this.stops("crash");
    return next;
  }

  /** To be thrown. */
  stops(why: ReplayStopped["why"]): ReplayStopped {
    this.stopped ??= new ReplayStopped(why);
    return this.stopped;
  }

  /** To be thrown. */
  differs(seq: number, what: string): ReplayDiffers {
    this.difference ??= new ReplayDiffers(seq, what);
    return this.difference;
  }

  /** Lets in what came from outside before the next event of a run, up to `throughSeq`. */
  letIn(throughSeq = Infinity): Event[] {
    const from = this.present;
    for (;;) {
      const event = this.events[this.present];
      if (event === undefined || this.#isOfRun(event) || event.seq > throughSeq) break;
      this.present += 1;
    }
    if (this.present > from) this.#wake();
    return this.events.slice(from, this.present);
  }

  /** Compares what a run appends with what is recorded, and moves the mark. */
  accept(bodies: readonly EventBody[], epoch: number, actor: string): Event[] {
    const ended = this.difference ?? this.stopped;
    if (ended !== undefined) throw ended;
    const next = this.next();
    if (next === undefined) throw this.stops("over");
    if (next.body.case === "leaseTaken" && bodies[0]?.case !== "leaseTaken") throw this.stops("crash");
    const from = this.present;
    for (const [index, made] of bodies.entries()) {
      const event = this.events[from + index];
      if (event === undefined) throw this.stops("over");
      const another = index > 0 && (!this.#isOfRun(event) || event.body.case === "leaseTaken");
      if (another) {
        // More follows now from the same state: then its worker was about to leave, unless it went on.
        const later = this.next();
        if (later === undefined || later.body.case === "leaseTaken") throw this.stops("crash");
        throw this.differs(event.seq, `recorded ${show(event.body)} between what is now one append`);
      }
      if (event.epoch !== epoch || event.actor !== actor || !this.#same(event.body, made)) {
        throw this.differs(event.seq, `recorded ${show(event.body)}; now ${show(made)}`);
      }
      this.present += 1;
    }
    this.#wake();
    return this.events.slice(from, this.present);
  }

  /** Resolves when the mark moves. */
  moved(): Promise<void> {
    return this.#moved.promise;
  }

  /** Byte for byte, apart from times. */
  #same(recorded: Event["body"], made: EventBody): boolean {
    const bytes = (content: Event["body"]) => {
      const timeless = withoutTimes(content);
      return toBinary(EventSchema, create(EventSchema, { body: this.#freeWording ? withoutWording(timeless) : timeless }));
    };
    return Buffer.compare(bytes(recorded), bytes(made)) === 0;
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  #isOfRun(event: Event): boolean {
    return event.seq > this.#given && this.#epochs.has(event.epoch);
  }
}

function withoutTimes(content: Event["body"]): Event["body"] {
  if (content.case === "modelReplied") return body.modelReplied({ ...content.value, activeMs: 0 });
  if (content.case === "turnEnded") return body.turnEnded({ ...content.value, activeMs: 0 });
  if (content.case === "approvalRequested") return body.approvalRequested({ ...content.value, expires: undefined });
  if (content.case === "actionFinished") return body.actionFinished({ ...content.value, durationMs: 0 });
  return content;
}

function withoutWording(content: Event["body"]): Event["body"] {
  if (content.case === "noticeGiven") return body.noticeGiven({ ...content.value, text: "" });
  if (content.case === "turnEnded") return body.turnEnded({ ...content.value, summary: "" });
  if (content.case === "actionFinished" && CLOSED.has(content.value.status)) return body.actionFinished({ ...content.value, output: "" });
  return content;
}

const CLOSED: ReadonlySet<ActionStatus> = new Set([ActionStatus.INTERRUPTED, ActionStatus.REFUSED]);

function show(content: Event["body"]): string {
  const text = JSON.stringify(content.value, (key, value: unknown) =>
    key.startsWith("$") ? undefined : typeof value === "bigint" ? String(value) : value,
  );
  return `${content.case ?? "an unknown event"} ${(text ?? "").slice(0, 300)}`;
}

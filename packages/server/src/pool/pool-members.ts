import type { MessageInitShape } from "@bufbuild/protobuf";
import { GuildError } from "@guildhall/core";
import type { TrackRecord, Worker } from "@guildhall/orchestrator";
import { PROTOCOL_VERSION } from "@guildhall/protocol";
import type { Hello, JoinResponseSchema } from "@guildhall/protocol/internal";

export type ToWorker = MessageInitShape<typeof JoinResponseSchema>;

/** What a message to a worker is about, where only the last word on it counts. */
export function aboutToWorker({ kind }: ToWorker): string | undefined {
  if (kind?.case === "seen" || kind?.case === "drain") return kind.case;
  if (kind?.case === "listen") return `listen ${kind.value.session}`;
  if (kind?.case === "stop") return `stop ${kind.value.taskId} ${kind.value.epoch} ${kind.value.now}`;
  return undefined;
}

/** A worker of the pool, connected or lately so. */
export interface Member {
  readonly id: string;
  hello: Hello;
  /** Sends to it; undefined while its connection is broken. */
  send: ((message: ToWorker) => void) | undefined;
  /** When it last gave a sign, by the monotonic clock. */
  heard: number;
  load: number;
  warm: ReadonlySet<string>;
  draining: boolean;
  /** It has answered on its present connection: one that can speak and not hear is offered nothing. */
  hears: boolean;
  /** It refused something: nothing is offered until then, monotonic. */
  restUntil: number;
  readonly joined: Date;
  readonly local: boolean;
}

/** Somebody who says hello at `heard` (monotonic), for the first time or again; `known`: what was known of it before. */
export function newMember(hello: Hello, known: Member | undefined, now: Pick<Member, "send" | "heard" | "local">): Member {
  return {
    id: hello.workerId,
    hello,
    load: known?.load ?? 0,
    warm: new Set(hello.warm),
    draining: false,
    hears: false,
    restUntil: 0,
    joined: known?.joined ?? new Date(),
    ...now,
  };
}

/** Throws `version_mismatch` for a worker that we have no protocol in common with. */
export function checkHello(hello: Hello): void {
  if (hello.workerId === "") throw new GuildError("invalid_argument", "the worker does not say who it is");
  if (hello.protocolMin <= PROTOCOL_VERSION && hello.protocolMax >= PROTOCOL_VERSION - 1 && hello.protocolMax >= 1) return;
  const [age, remedy] =
    hello.protocolMax < PROTOCOL_VERSION
      ? ["old", `put the orchestrator's release there, in place of ${hello.version}`]
      : ["new", `bring the orchestrator to release ${hello.version} first`];
  throw new GuildError(
    "version_mismatch",
    `the worker is too ${age}: it speaks protocol ${hello.protocolMin} to ${hello.protocolMax}, here is ${PROTOCOL_VERSION}`,
    {
      subject: hello.workerId,
      remedy,
    },
  );
}

/** Its name for what is remembered of it. */
export function seatOf({ id, hello }: Member): string {
  return hello.seat || id;
}

/** As the scheduler sees it. */
export function asSchedulerWorker(member: Member, now: number, record?: TrackRecord): Worker {
  const { capacity } = member.hello;
  return {
    id: member.id,
    capacity: {
      cpu: capacity?.cpu ?? 0,
      memoryBytes: Number(capacity?.memoryBytes ?? 0n),
      diskBytes: capacity?.diskBytes === 0n ? Infinity : Number(capacity?.diskBytes ?? 0n),
      slots: capacity?.slots ?? 0,
    },
    roles: new Set(member.hello.roles),
    labels: member.hello.labels,
    environmentKinds: new Set(member.hello.environmentKinds),
    warm: member.warm,
    load: Math.min(member.load, 0.95),
    draining: member.draining || !member.hears || member.send === undefined || member.restUntil > now,
    view: member.hello.view,
    ...(record === undefined ? {} : { distrust: record.distrust(seatOf(member), now), skilled: record.skilled(seatOf(member), now) }),
  };
}

/** Now, and how long this process did not run since it was asked last, beyond the usual: nobody could be heard by it meanwhile. Milliseconds. */
export function missedTime(usualMs: number): (now: number) => [now: number, missed: number] {
  let last = 0;
  return (now) => {
    const missed = Math.max(0, now - last - usualMs);
    last = now;
    return [now, missed];
  };
}

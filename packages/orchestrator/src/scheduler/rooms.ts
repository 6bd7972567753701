import TinyQueue from "tinyqueue";

import { misfit, shortage, take } from "./fit.ts";
import type { Bucket } from "./task-queue.ts";
import type { Amounts, QueuedTask, RunningTask, Worker } from "./types.ts";

/** A worker and what is left of it while a decision is made. */
export interface Room {
  readonly worker: Worker;
  readonly free: Amounts;
  /** Of two that are equally good the first is taken. */
  readonly index: number;
}

/**
 * The workers while a decision is made. What is free only shrinks meanwhile: a room that is too small for a kind of task stays so, and a score that
 * was reckoned earlier is at worst too high. So the rooms are gone through twice at most for equal needs, and not for each task.
 */
export class Rooms {
  readonly all: readonly Room[];
  /** Of needs that were asked for once: nothing yet, because most may be asked for only once. */
  readonly #candidates = new Map<string, TinyQueue<Candidate> | undefined>();
  readonly #names = new Map<Bucket, string>();
  readonly #skilled = new Map<string, ReadonlyArray<{ room: Room; bonus: number }>>();
  #warm: Map<string, Room[]> | undefined;

  constructor(workers: readonly Worker[], running: readonly RunningTask[]) {
    this.all = roomsOf(workers, running);
    this.#probation();
  }

  /** A worker that nearly nothing is expected of has one task at a time, as long as others can be relied on. */
  #probation(): void {
    const doubtful = this.all.filter(({ worker }) => (worker.distrust ?? 0) > PROBATION);
    if (doubtful.length === this.all.length) return;
    for (const { free, worker } of doubtful) free.slots = Math.min(free.slots, 1 - (worker.capacity.slots - free.slots));
  }

  /**
   * The room with the most left for a task of this kind, where a warm environment or workspace counts as much as half an idle worker, and what
   * became of the last tasks there for as much again at the most.
   */
  best(bucket: Bucket, task: QueuedTask): Room | undefined {
    let best = this.#coldest(bucket, task);
    for (const name of new Set([task.environment, task.workspace])) {
      for (const room of name === "" ? [] : this.#warmWith(name)) {
        if (!fits(room, task)) continue;
        const score = scoreOf(room) + WARM_BONUS;
        if (best === undefined || score > best.score || (score === best.score && room.index < best.room.index)) best = { room, score };
      }
    }
    for (const { room, bonus } of this.#skilledIn(task.kind ?? "")) {
      if (!fits(room, task)) continue;
      const warm = task.workspace !== "" && room.worker.warm.has(task.workspace) ? WARM_BONUS : 0;
      const score = scoreOf(room) + bonus + warm;
      if (best === undefined || score > best.score) best = { room, score };
    }
    return best?.room;
  }

  /** Where tasks of a kind did well, and by how much those are ahead. */
  #skilledIn(kind: string): ReadonlyArray<{ room: Room; bonus: number }> {
    if (kind === "") return [];
    let found = this.#skilled.get(kind);
    if (found === undefined) {
      found = this.all.flatMap((room) => {
        const bonus = room.worker.skilled?.get(kind);
        return bonus === undefined ? [] : [{ room, bonus: SKILL_BONUS * bonus }];
      });
      this.#skilled.set(kind, found);
    }
    return found;
  }

  /** The best, warm or not. */
  #coldest(bucket: Bucket, task: QueuedTask): Candidate | undefined {
    const name = this.#nameOf(bucket);
    let queue = this.#candidates.get(name);
    if (queue === undefined) {
      if (!this.#candidates.has(name)) {
        this.#candidates.set(name, undefined);
        return this.#scan(task);
      }
      const fitting = this.all.filter((room) => fits(room, task)).map((room) => ({ room, score: scoreOf(room) }));
      queue = new TinyQueue(fitting, (x, y) => y.score - x.score || x.room.index - y.room.index);
      this.#candidates.set(name, queue);
    }
    for (let top = queue.peek(); top !== undefined; top = queue.peek()) {
      const score = scoreOf(top.room);
      const fit = fits(top.room, task);
      if (fit && score === top.score) return top;
      queue.pop();
      if (fit) queue.push({ room: top.room, score });
    }
    return undefined;
  }

  #scan(task: QueuedTask): Candidate | undefined {
    let best: Candidate | undefined;
    for (const room of this.all) {
      if (!fits(room, task)) continue;
      const score = scoreOf(room);
      if (best === undefined || score > best.score) best = { room, score };
    }
    return best;
  }

  /** The same for equal needs, whosever they are. */
  #nameOf(bucket: Bucket): string {
    let name = this.#names.get(bucket);
    if (name === undefined) {
      const { cpu, memoryBytes, diskBytes, slots, role, environmentKind, labels } = bucket.needs;
      name = JSON.stringify([cpu, memoryBytes, diskBytes, slots, role, environmentKind, labels]);
      this.#names.set(bucket, name);
    }
    return name;
  }

  #warmWith(name: string): readonly Room[] {
    if (this.#warm === undefined) {
      this.#warm = new Map();
      for (const room of this.all) {
        for (const one of room.worker.warm) {
          const rooms = this.#warm.get(one);
          if (rooms === undefined) this.#warm.set(one, [room]);
          else rooms.push(room);
        }
      }
    }
    return this.#warm.get(name) ?? [];
  }
}

/** What is left of each worker that takes something. One that is about to move has room at both. */
export function roomsOf(workers: readonly Worker[], running: readonly RunningTask[]): Room[] {
  const rooms = new Map(workers.map((worker, index) => [worker.id, { worker, free: { ...worker.capacity }, index }]));
  for (const task of running) {
    for (const id of task.to === undefined ? [task.worker] : [task.worker, task.to]) {
      const room = rooms.get(id);
      if (room !== undefined) take(room.free, task.needs);
    }
  }
  return [...rooms.values()].filter((room) => !room.worker.draining);
}

interface Candidate {
  room: Room;
  /** Without what is warm. */
  score: number;
}

const WARM_BONUS = 0.5;
/** Less than one of four slots: who did well is preferred, and not filled up. */
const SKILL_BONUS = 0.2;
const DISTRUST_MALUS = 0.5;
/** Distrust beyond which a worker is given one task at a time. */
const PROBATION = 0.6;

function fits({ free, worker }: Room, { needs }: QueuedTask): boolean {
  return free.slots >= needs.slots && shortage(needs, free) === undefined && misfit(needs, worker) === undefined;
}

/** Free share of the scarcest resource, or what the measured load leaves when that is less. A worker that has none of something comes last. */
function scoreOf({ free, worker: { capacity, load, distrust = 0 } }: Room): number {
  const granted = freeShare(free, capacity);
  // Where all are equally busy, what was granted decides.
  return Math.min(granted, 1 - load) + granted / 100 - DISTRUST_MALUS * distrust;
}

/** Of the scarcest resource. */
export function freeShare(free: Amounts, capacity: Amounts): number {
  return Math.min(share(free.cpu, capacity.cpu), share(free.memoryBytes, capacity.memoryBytes), share(free.slots, capacity.slots));
}

function share(free: number, whole: number): number {
  return whole > 0 ? free / whole : 0;
}

/** What became of something that a worker was given. */
export type Outcome =
  /** Its turn was done. */
  | "done"
  /** The worker could not work on it, for whatever reason. */
  | "failed"
  /** The worker was lost with it. */
  | "lost"
  /** It was offered, and not taken. */
  | "declined";

/**
 * What became lately of what workers were given, so that who failed is given less until it has proved itself again. Bounded and fading: a fault
 * counts half after ten minutes, and half with every task that is done after it. That a task failed is blamed on the worker by half, and on
 * nobody once it fails elsewhere too: then it is the task. No clock in here: `now` is milliseconds.
 */
export class TrackRecord {
  readonly #faults = new Map<string, Tally>();
  /** By worker and kind of task. */
  readonly #skills = new Map<string, Map<string, Tally>>();
  /** Tasks that have failed, and where first; undefined: it is the task. */
  readonly #failed = new Map<string, string | undefined>();

  /** `seat`: the worker, by a name that stays when its process is started anew. `kind`: see `QueuedTask.kind`. */
  note({ seat, task, kind }: { seat: string; task: string; kind: string }, outcome: Outcome, now: number): void {
    if (seat === "") return;
    const faults = fade(this.#faults.get(seat), now, FAULT_HALF_MS);
    const skill = kind === "" ? undefined : fade(this.#skills.get(seat)?.get(kind), now, SKILL_HALF_MS);
    if (outcome === "done") {
      faults.count /= 2;
      if (skill !== undefined) skill.count += 1;
      this.#failed.delete(task);
    } else {
      faults.count += outcome === "failed" ? this.#blame(task, seat, now) : WEIGHTS[outcome];
      if (skill !== undefined && outcome !== "declined") skill.count /= 4;
    }
    keep(this.#faults, seat, faults);
    if (skill !== undefined) {
      const skills = this.#skills.get(seat) ?? new Map<string, Tally>();
      keep(skills, kind, skill);
      keep(this.#skills, seat, skills);
    }
  }

  /** 0 to 1; see `Worker.distrust`. */
  distrust(seat: string, now: number): number {
    return rise(fade(this.#faults.get(seat), now, FAULT_HALF_MS).count);
  }

  /** 0 to 1 by kind of task; see `Worker.skilled`. */
  skilled(seat: string, now: number): Map<string, number> {
    const skills = [...(this.#skills.get(seat) ?? [])].map(([kind, tally]) => [kind, rise(fade(tally, now, SKILL_HALF_MS).count)] as const);
    return new Map(skills.filter(([, skill]) => skill >= LEAST_SKILL));
  }

  /** How much of a task's failure is the worker's. */
  #blame(task: string, seat: string, now: number): number {
    const known = this.#failed.has(task);
    const first = this.#failed.get(task);
    if (!known) {
      keep(this.#failed, task, seat);
      return WEIGHTS.failed;
    }
    if (first !== undefined && first !== seat) {
      const faults = fade(this.#faults.get(first), now, FAULT_HALF_MS);
      faults.count = Math.max(0, faults.count - WEIGHTS.failed);
      this.#faults.set(first, faults);
      this.#failed.set(task, undefined);
    }
    return 0;
  }
}

interface Tally {
  count: number;
  at: number;
}

const WEIGHTS = { lost: 1, failed: 0.5, declined: 0.25 };
const FAULT_HALF_MS = 10 * 60_000;
const SKILL_HALF_MS = 30 * 60_000;
const LEAST_SKILL = 0.1;
/** Of workers, of kinds at each, of failed tasks: what was noted longest ago is forgotten first. */
const MOST_KEPT = 1_000;

function fade(tally: Tally | undefined, now: number, halfMs: number): Tally {
  if (tally === undefined) return { count: 0, at: now };
  return { count: tally.count * 0.5 ** (Math.max(0, now - tally.at) / halfMs), at: Math.max(now, tally.at) };
}

function rise(count: number): number {
  return 1 - 0.5 ** count;
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MOST_KEPT && oldest !== undefined) map.delete(oldest);
}

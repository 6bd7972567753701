import { type MovableTask, type Move, type MovePolicy, rebalance, type Skew } from "@guildhall/orchestrator";

import type { Log } from "../daemon/log.ts";
import { asSchedulerWorker, type Member } from "./pool-members.ts";
import { asRunning, type Running } from "./running-task.ts";
import { needsOf, sharedPath } from "./task-terms.ts";

/** Asks sessions at work to go over to freer workers. What it decides is `rebalance`'s. */
export class Rebalancer {
  readonly #journal: Pick<Log, "info">;
  #skew: Skew = new Map();
  readonly #moves = new Map<string, number>();

  constructor(journal: Pick<Log, "info">) {
    this.#journal = journal;
  }

  /** `seconds`: how long a skew has to last; 0: nothing is moved. `now`: monotonic. */
  look(members: ReadonlyMap<string, Member>, running: ReadonlyMap<string, Running>, seconds: number, now: number): void {
    for (const task of running.values()) {
      // Its step lasts too long to keep room for it, or the room is gone: where it goes when it leaves is decided then.
      if (task.to !== undefined && (now - (task.asked ?? now) > MOST_ASKED_MS || takes(members, task.to) === undefined))
        task.to = undefined;
    }
    for (const id of this.#moves.keys()) if (!running.has(id)) this.#moves.delete(id);
    if (seconds === 0 || members.size < 2) return;
    const workers = [...members.values()].map((member) => asSchedulerWorker(member, now));
    const tasks = [...running.values()].map((task) => this.#asMovable(task, members, now));
    const { moves, skew } = rebalance(workers, tasks, policyOf(seconds), this.#skew, now);
    this.#skew = skew;
    for (const move of moves) {
      const [own, from] = [running.get(move.task), members.get(move.from)];
      if (own === undefined || from?.send === undefined) continue;
      Object.assign(own, { yielding: true, to: move.to, asked: now });
      this.#moves.set(move.task, (this.#moves.get(move.task) ?? 0) + 1);
      this.#journal.info(`${move.task}: asked to move from ${move.from} to ${move.to}`);
      from.send({ kind: { case: "stop", value: { taskId: move.task, epoch: own.task.epoch, now: false, move: told(move) } } });
    }
  }

  /** It said that it cannot leave: it is not asked again for a while. */
  stays(task: Running, held: string, now: number): void {
    this.#journal.info(`${task.task.id}: stays at ${task.member}: ${held}`);
    Object.assign(task, { yielding: false, to: undefined, staysUntil: now + STAYS_MS });
    this.#moves.set(task.task.id, Math.max(0, (this.#moves.get(task.task.id) ?? 1) - 1));
  }

  #asMovable(running: Running, members: ReadonlyMap<string, Member>, now: number): MovableTask {
    const { task, member, since, staysUntil = 0 } = running;
    const { seat = "", view = "" } = members.get(member)?.hello ?? {};
    const shared = sharedPath(task.spec) !== "";
    return {
      ...asRunning(running),
      needs: needsOf(task.spec),
      since,
      moves: this.#moves.get(task.id) ?? 0,
      // One of an older release would leave whatever it loses.
      movable: seat !== "" && staysUntil <= now && (!shared || view !== ""),
      reach: shared ? view : "",
    };
  }
}

/** The worker, when it is there and takes something. */
export function takes(members: ReadonlyMap<string, Member>, id: string): Member | undefined {
  const member = members.get(id);
  return member?.send === undefined || member.draining ? undefined : member;
}

/** Room is kept so long for a task that has not come to the end of its step, milliseconds. */
const MOST_ASKED_MS = 120_000;
/** Whoever held something once holds it for a while. */
const STAYS_MS = 60_000;

function policyOf(seconds: number): MovePolicy {
  return { crowded: 0.75, skew: 0.5, settled: 0.125, patienceMs: 1_000 * seconds, minimumStayMs: 2_000 * seconds, mostAtOnce: 2 };
}

function told({ from, to, shares }: Move): string {
  const percent = (share: number): string => `${Math.round(100 * Math.min(1, share))} %`;
  return `The session goes on at worker ${to}, which was ${percent(shares.to)} taken; ${from} was ${percent(shares.from)}.`;
}

import { give, misfit, shortage, take } from "./fit.ts";
import { freeShare, roomsOf } from "./rooms.ts";
import type { Amounts, MovableTask, Move, MovePolicy, Skew, Worker } from "./types.ts";

/**
 * Which running tasks go over to a freer worker now. Pure: what it has to remember from one time to the next is `skew`, which it returns.
 *
 * A worker is relieved when it has been much fuller than another that could take over for `patienceMs`: by what was granted of it, or by its
 * measured load, of which each of its tasks is taken to cause an equal part. Workers of one machine share the load, so between them only what
 * was granted counts. Promises: a move goes where the needs are met, room is left and the workspace can be reached; afterwards the giver is
 * freer than before and still no freer than the receiver, so that what goes there does not come back as long as nothing else changes; and
 * whatever the load does, a task stays twice as long after each move.
 */
export function rebalance(
  workers: readonly Worker[],
  running: readonly MovableTask[],
  policy: MovePolicy,
  known: Skew,
  now: number,
): { moves: Move[]; skew: Skew } {
  const places = placesOf(workers, running);
  const lowest = new Lowest(places);
  const skew = new Map<string, number>();
  const givers: Place[] = [];
  for (const place of places) {
    const since = known.get(place.worker.id);
    const gap = lowest.gap(place);
    if (gap < (since === undefined ? policy.skew : policy.settled)) continue;
    if (since === undefined && Math.max(takenOf(place), loadOf(place)) < policy.crowded) continue;
    skew.set(place.worker.id, since ?? now);
    if (now - (since ?? now) >= policy.patienceMs) givers.push(place);
  }
  const moves: Move[] = [];
  let left = policy.mostAtOnce - running.filter(({ to }) => to !== undefined).length;
  if (givers.length === 0 || left <= 0) return { moves, skew };
  const freest = places.toSorted((x, y) => takenOf(x) - takenOf(y) || x.index - y.index);
  for (const giver of givers.toSorted((x, y) => lowest.gap(y) - lowest.gap(x) || x.index - y.index)) {
    const stayed = (task: MovableTask): boolean => now - task.since >= policy.minimumStayMs * 2 ** Math.min(task.moves, MOST_DOUBLINGS);
    const candidates = giver.tasks.filter((task) => task.movable && task.preemptible && !task.yielding && stayed(task));
    for (const task of candidates.toSorted((x, y) => x.moves - y.moves || x.since - y.since || (x.id < y.id ? -1 : 1))) {
      if (left <= 0) break;
      const receiver = freest.find((place) => place !== giver && accepts(place, task) && improves(giver, place, task, policy.settled));
      if (receiver === undefined) continue;
      const [from, to] = sharesOf(giver, receiver);
      moves.push({ task: task.id, from: giver.worker.id, to: receiver.worker.id, shares: { from, to } });
      hand(giver, receiver, task);
      take(receiver.free, task.needs);
      left -= 1;
      // How busy both are then is to be seen first.
      skew.set(giver.worker.id, now);
    }
  }
  return { moves, skew };
}

/** Doublings of the stay after that many moves are enough for any session. */
const MOST_DOUBLINGS = 8;

/** A worker when all moves under way are done. */
interface Place {
  readonly worker: Worker;
  readonly index: number;
  /** What is left of it now: tasks about to leave still have theirs. */
  readonly free: Amounts;
  /** What will be left. */
  readonly expected: Amounts;
  /** Measured, with what moves change of it, in cores. */
  cores: number;
  /** Its tasks now, and how many there will be. */
  readonly tasks: readonly MovableTask[];
  count: number;
}

function placesOf(workers: readonly Worker[], running: readonly MovableTask[]): Place[] {
  const tasks = Map.groupBy(running, ({ worker }) => worker);
  const places = roomsOf(workers, running).map(({ worker, free, index }): Place => {
    const own = tasks.get(worker.id) ?? [];
    return { worker, index, free, expected: { ...free }, cores: worker.load * worker.capacity.cpu, tasks: own, count: own.length };
  });
  const byId = new Map(places.map((place) => [place.worker.id, place]));
  for (const task of running) {
    const [from, to] = [byId.get(task.worker), byId.get(task.to ?? "")];
    // Room is kept at both: what is taken from the receiver already is not taken again.
    if (from !== undefined && to !== undefined) {
      hand(from, to, task);
      give(to.expected, task.needs);
    }
  }
  return places;
}

/** The task counts as the receiver's. */
function hand(from: Place, to: Place, task: MovableTask): void {
  give(from.expected, task.needs);
  take(to.expected, task.needs);
  const caused = from.count > 0 ? from.cores / from.count : 0;
  from.cores -= caused;
  to.cores += caused;
  from.count -= 1;
  to.count += 1;
}

function accepts({ worker, free }: Place, { needs, reach }: MovableTask): boolean {
  const reached = reach === "" || reach === worker.view;
  return reached && shortage(needs, free) === undefined && misfit(needs, worker) === undefined && (worker.distrust ?? 0) < MOST_DISTRUST;
}

/** Nothing that runs is moved to a worker that has just lost or failed something. */
const MOST_DISTRUST = 0.4;

/** Whether the giver is freer then, and not freer than the receiver. */
function improves(giver: Place, receiver: Place, task: MovableTask, least: number): boolean {
  const [before, other] = sharesOf(giver, receiver);
  if (before - other < least) return false;
  const [from, to] = [copy(giver), copy(receiver)];
  hand(from, to, task);
  const [after, taken] = sharesOf(from, to);
  return after < before && taken <= after + ROUNDING;
}

/** Two that are equally full by tenths of slots are. */
const ROUNDING = 1e-9;

function copy(place: Place): Place {
  return { ...place, expected: { ...place.expected } };
}

/** How full two workers are, as far as it tells them apart. */
function sharesOf(one: Place, other: Place): [number, number] {
  if (sameMachine(one.worker, other.worker)) return [takenOf(one), takenOf(other)];
  return [Math.max(takenOf(one), loadOf(one)), Math.max(takenOf(other), loadOf(other))];
}

function sameMachine(one: Worker, other: Worker): boolean {
  return one.view !== undefined && one.view !== "" && one.view === other.view;
}

function takenOf({ expected, worker }: Place): number {
  return 1 - freeShare(expected, worker.capacity);
}

function loadOf({ cores, worker }: Place): number {
  return worker.capacity.cpu > 0 ? cores / worker.capacity.cpu : 0;
}

/** The freest place of each machine and of all, so that a gap is not looked for among all pairs. */
class Lowest {
  readonly #taken = new Map<string, number>();
  readonly #all: ReadonlyArray<{ view: string; share: number }>;

  constructor(places: readonly Place[]) {
    const shares = new Map<string, number>();
    for (const place of places) {
      const view = place.worker.view || place.worker.id;
      this.#taken.set(view, Math.min(this.#taken.get(view) ?? Infinity, takenOf(place)));
      shares.set(view, Math.min(shares.get(view) ?? Infinity, Math.max(takenOf(place), loadOf(place))));
    }
    // Two are enough: one of them is not the machine that is compared.
    this.#all = [...shares]
      .map(([view, share]) => ({ view, share }))
      .toSorted((x, y) => x.share - y.share)
      .slice(0, 2);
  }

  /** By how much it is fuller than the freest that it can be told apart from. */
  gap(place: Place): number {
    const view = place.worker.view || place.worker.id;
    const beside = takenOf(place) - (this.#taken.get(view) ?? Infinity);
    const elsewhere = this.#all.find((other) => other.view !== view)?.share ?? Infinity;
    return Math.max(beside, Math.max(takenOf(place), loadOf(place)) - elsewhere);
  }
}

import { GuildError } from "@guildhall/core";
import { type Knowledge, KnowledgeState, type Operation } from "@guildhall/protocol";

import { type Clash, ClashFinder } from "./conflicts.ts";
import { compareOperations } from "./hybrid-clock.ts";
import { foldItem, type Item, presentPut, versionOf } from "./item.ts";

/** Names of which one copy is kept. */
const MOST_NAMES = 10_000;

/**
 * All that is known, as a fold of operations: whatever order they come in and however often, the same operations give the same knowledge. Holds every
 * version in memory; the store has the operations.
 */
export class Ledger {
  readonly #operations = new Map<string, Operation>();
  /** Highest position taken in of each replica; positions come without gaps. */
  readonly #known = new Map<string, bigint>();
  /** Operations of each replica, the one of position 1 first. */
  readonly #ofReplica = new Map<string, Operation[]>();
  readonly #ofItem = new Map<string, Operation[]>();
  readonly #items = new Map<string, Item>();
  /** Those that were of use to somebody: few of all. */
  readonly #used = new Map<string, Item>();
  readonly #clashes = new ClashFinder();
  readonly #settlements = new Map<string, Operation>();
  /** The last judgement of each two versions. */
  readonly #judgements = new Map<string, Operation>();
  /** Settlements by the version that they make lose. */
  readonly #losses = new Map<string, Set<string>>();
  readonly #names = new Map<string, string>();
  /** Taken in and not folded yet. */
  readonly #unfolded = new Set<string>();
  readonly #unjudged: Operation[] = [];

  get operations(): number {
    return this.#operations.size;
  }

  get size(): number {
    return this.#items.size;
  }

  has(operation: string): boolean {
    return this.#operations.has(operation);
  }

  operation(id: string): Operation | undefined {
    return this.#operations.get(id);
  }

  /** Highest position known of each replica. */
  get known(): ReadonlyMap<string, bigint> {
    return this.#known;
  }

  items(): Iterable<Item> {
    return this.#items.values();
  }

  /** Items that anybody has used, was shown or dismissed. */
  used(): Iterable<Item> {
    return this.#used.values();
  }

  item(id: string): Item | undefined {
    return this.#items.get(id);
  }

  /**
   * Takes operations in; those that are known change nothing. Answers with the ids of the items that changed. Throws `failed_precondition` for a gap in a replica's
   * positions, before anything of that replica's rest has changed.
   */
  apply(operations: readonly Operation[]): Set<string> {
    this.take(operations);
    return this.fold(Infinity);
  }

  /** As `apply`, but items stay as they are until `fold`: a whole log is read so, and what was written over since is compared with nothing. */
  take(operations: readonly Operation[]): void {
    for (const operation of operations.toSorted((x, y) => (x.seq < y.seq ? -1 : Number(x.seq > y.seq)))) {
      const known = this.#known.get(operation.replica) ?? 0n;
      if (operation.seq <= known) continue;
      if (operation.seq !== known + 1n) {
        throw new GuildError("failed_precondition", `operations ${known + 1n} to ${operation.seq - 1n} of a replica are missing`, {
          subject: operation.replica,
          remedy: "exchange again from what is known",
        });
      }
      this.#known.set(operation.replica, operation.seq);
      this.#share(operation);
      place(this.#ofReplica, operation.replica, operation);
      if (this.#operations.has(operation.id)) continue;
      this.#operations.set(operation.id, operation);
      if (operation.change.case === "judge") this.#unjudged.push(operation);
      if (operation.change.case === "settle") for (const id of this.#settle(operation)) this.#unfolded.add(id);
      for (const id of itemsOf(operation)) {
        place(this.#ofItem, id, operation);
        this.#unfolded.add(id);
      }
    }
  }

  /** Folds at most so many of the items that operations were taken in of; answers with their ids, none when all is folded. */
  fold(most: number): Set<string> {
    const changed = new Set<string>();
    for (const id of this.#unfolded) {
      if (changed.size >= most) return changed;
      this.#unfolded.delete(id);
      this.#refold(id);
      changed.add(id);
    }
    for (const operation of this.#unjudged.splice(0)) for (const id of this.#judge(operation)) changed.add(id);
    return changed;
  }

  /** The same few names stand in every operation: one copy of each is kept. */
  #share(operation: Operation): void {
    const once = (text: string): string => {
      const known = this.#names.get(text);
      if (known !== undefined) return known;
      if (this.#names.size < MOST_NAMES) this.#names.set(text, text);
      return text;
    };
    operation.replica = once(operation.replica);
    operation.actor = once(operation.actor);
    const { change } = operation;
    if (change.case !== "put") return;
    change.value.author = once(change.value.author);
    if (change.value.scope !== undefined) change.value.scope.id = once(change.value.scope.id);
    change.value.tags = change.value.tags.map(once);
  }

  /** The version, as it is; default: the present one. `asOf`, milliseconds: as it was known then. */
  read(id: string, options: { version?: number; asOf?: number } = {}): Knowledge | undefined {
    const { version = 0, asOf } = options;
    const item = asOf === undefined ? this.#items.get(id) : foldItem(id, this.#ofItem.get(id) ?? [], asOf);
    if (item === undefined) return undefined;
    const superseded = (operation: string): boolean => this.#isSuperseded(operation, asOf);
    return versionOf(item, superseded, version === 0 ? item.puts.length : version);
  }

  /** What the present version says, for looking at: not a copy, and without its state. */
  peek(id: string): Knowledge | undefined {
    const item = this.#items.get(id);
    const change = item === undefined ? undefined : presentPut(item).change;
    return change?.case === "put" ? change.value : undefined;
  }

  /** All versions, newest first. */
  history(id: string): Knowledge[] {
    const item = this.#items.get(id);
    if (item === undefined) return [];
    const superseded = (operation: string): boolean => this.#isSuperseded(operation);
    return item.puts.flatMap((_, at) => versionOf(item, superseded, at + 1) ?? []).toReversed();
  }

  /** Valid items alone count: neither forgotten, superseded nor cold. */
  isValid(id: string): boolean {
    const item = this.#items.get(id);
    return item !== undefined && this.#valid(item);
  }

  related(knowledge: Knowledge): ReturnType<ClashFinder["related"]> {
    return this.#clashes.related(knowledge);
  }

  /** Clashes that nobody has settled, in the order of their ids; of one item or of all. */
  openClashes(item?: string): Clash[] {
    const clashes = item === undefined ? this.#clashes.all() : this.#clashes.of(item);
    return [...clashes].filter((clash) => !this.#settlements.has(clash.id)).toSorted((x, y) => (x.id < y.id ? -1 : 1));
  }

  clash(id: string): Clash | undefined {
    return this.#clashes.get(id);
  }

  /** Whether a model has said something of these two versions. */
  isJudged(sides: readonly [string, string]): boolean {
    return this.#clashes.isJudged(sides);
  }

  /** The settlement of a clash that counts. */
  settlement(clash: string): Operation | undefined {
    return this.#settlements.get(clash);
  }

  settlements(): Iterable<Operation> {
    return this.#settlements.values();
  }

  /** The item whose version that operation wrote. */
  itemOfPut(operation: string): string | undefined {
    const put = this.#operations.get(operation);
    return put?.change.case === "put" ? put.change.value.id : undefined;
  }

  /** Operations that somebody who knows so much lacks, each replica's in the order of its positions, at most `limit` of at most so many characters; one at least. */
  after(known: Readonly<Record<string, bigint>>, limit: number, characters = Infinity): { operations: Operation[]; more: boolean } {
    const operations: Operation[] = [];
    let length = 0;
    for (const [replica, all] of this.#ofReplica) {
      for (let at = Number(known[replica] ?? 0n); at < all.length; at += 1) {
        const operation = all[at] as Operation;
        length += lengthOf(operation);
        if (operations.length === limit || (length > characters && operations.length > 0)) return { operations, more: true };
        operations.push(operation);
      }
    }
    return { operations, more: false };
  }

  #valid(item: Item): boolean {
    return item.forgottenAt === undefined && item.coldAt === undefined && !this.#isSuperseded(presentPut(item).id);
  }

  #isSuperseded(operation: string, until?: number): boolean {
    for (const id of this.#losses.get(operation) ?? []) {
      const settlement = this.#settlements.get(id);
      if (settlement?.change.case !== "settle" || !settlement.change.value.losers.includes(operation)) continue;
      if (until === undefined || Number(settlement.time?.wallMs ?? 0n) <= until) return true;
    }
    return false;
  }

  /** The last settlement of a clash, by the one order, is the one that counts. */
  #settle(operation: Operation): string[] {
    if (operation.change.case !== "settle") return [];
    const { conflictId, losers } = operation.change.value;
    const former = this.#settlements.get(conflictId);
    if (former !== undefined && compareOperations(former, operation) > 0) return [];
    this.#settlements.set(conflictId, operation);
    const before = former?.change.case === "settle" ? former.change.value.losers : [];
    for (const loser of losers) {
      const ids = this.#losses.get(loser) ?? new Set();
      this.#losses.set(loser, ids.add(conflictId));
    }
    return [...losers, ...before].flatMap((loser) => this.itemOfPut(loser) ?? []);
  }

  /** The last judgement of two versions, by the one order, is the one that counts. */
  #judge(operation: Operation): string[] {
    if (operation.change.case !== "judge") return [];
    const { sides, contradiction, reason } = operation.change.value;
    const [left = "", right = ""] = sides.toSorted();
    const former = this.#judgements.get(`${left}\0${right}`);
    if (former !== undefined && compareOperations(former, operation) >= 0) return [];
    this.#judgements.set(`${left}\0${right}`, operation);
    this.#clashes.judge([left, right], { contradiction, reason });
    return [left, right].flatMap((side) => this.itemOfPut(side) ?? []);
  }

  #refold(id: string): void {
    const item = foldItem(id, this.#ofItem.get(id) ?? []);
    if (item === undefined) return;
    this.#items.set(id, item);
    if (item.uses.length > 0) this.#used.set(id, item);
    this.#clashes.set(id, this.#valid(item) ? presentPut(item) : undefined);
  }
}

function place(map: Map<string, Operation[]>, key: string, operation: Operation): void {
  const all = map.get(key);
  if (all === undefined) map.set(key, [operation]);
  else all.push(operation);
}

/** Roughly, of what an operation says. */
function lengthOf({ change, reason }: Operation): number {
  if (change.case !== "put") return reason.length;
  const { text, title, key, evidence } = change.value;
  return text.length + title.length + key.length + reason.length + evidence.length * 200;
}

function itemsOf({ change }: Operation): readonly string[] {
  switch (change.case) {
    case "put":
      return [change.value.id];
    case "forget":
    case "restore":
    case "prune":
      return [change.value];
    case "feedback":
      return change.value.ids;
    default:
      return [];
  }
}

/** States in which an item is not found any more, though it is still there. */
export const GONE: ReadonlySet<KnowledgeState> = new Set([KnowledgeState.FORGOTTEN, KnowledgeState.SUPERSEDED, KnowledgeState.COLD]);

import { setImmediate as nextTurn } from "node:timers/promises";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Clock, GuildError, type Ids, type OperationStore } from "@guildhall/core";
import { type Operation, OperationSchema } from "@guildhall/protocol";

import { HybridClock } from "./hybrid-clock.ts";
import type { Ledger } from "./ledger.ts";

/** A change on its way into the log; id by default a new one. */
export interface Draft {
  id?: string;
  actor: string;
  reason?: string;
  change: NonNullable<MessageInitShape<typeof OperationSchema>["change"]>;
}

export interface WriterOptions {
  tenant: string;
  store: OperationStore;
  ledger: Ledger;
  clock: Pick<Clock, "now">;
  ids: Ids;
  /** Items that changed, whoever wrote it. */
  changed(ids: ReadonlySet<string>): void;
  /** The ledger has operations that it had not, of items or not. */
  grown(): void;
}

const ATTEMPTS = 8;
/** Operations that are taken in before others get their turn: some milliseconds. */
const AT_ONCE = 100;

/** Writes operations one group after another, so that what a change was decided by still holds when it is written; durable before it counts. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #time: HybridClock;
  readonly replica: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: WriterOptions, replica: string) {
    this.#options = options;
    this.#time = new HybridClock(options.clock);
    this.replica = replica;
  }

  /** Runs `work` when those before it are through. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    // Whoever asked is told; those behind go on all the same.
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Decides and writes; decides again when another process wrote as this replica meanwhile. To be called in turn. */
  async write(decide: () => readonly Draft[]): Promise<Operation[]> {
    const { ledger, store, tenant } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const operations = this.#number(decide());
      if (operations.length === 0) return [];
      try {
        await store.append(tenant, operations);
        this.#changed(ledger.apply(operations));
        this.#options.grown();
        return operations;
      } catch (error) {
        if (!GuildError.is(error, "already_exists") || attempt === ATTEMPTS) throw error;
        await this.refresh();
      }
    }
  }

  /** Takes in all that the store has; nobody looks at the ledger before. */
  async open(): Promise<void> {
    const { ledger } = this.#options;
    await this.#read((operations) => {
      this.#see(operations);
      ledger.take(operations);
    });
    for (let changed = ledger.fold(AT_ONCE); changed.size > 0; changed = ledger.fold(AT_ONCE)) {
      this.#changed(changed);
      await nextTurn();
    }
  }

  /** Takes in what others wrote into the store. */
  async refresh(): Promise<void> {
    await this.#read((operations) => this.#take(operations));
    this.#options.grown();
  }

  /**
   * Takes in what another replica sent; durable first. Throws `failed_precondition` for a gap, and for operations of
   * this replica itself that it does not know, unless it is being restored from a copy. To be called in turn.
   */
  async receive(operations: readonly Operation[], restoring = false): Promise<Operation[]> {
    const { ledger, store, tenant } = this.#options;
    const fresh = operations.filter((one) => one.seq > (ledger.known.get(one.replica) ?? 0n));
    const own = restoring ? undefined : fresh.find((one) => one.replica === this.replica);
    if (own !== undefined) {
      throw new GuildError("failed_precondition", `another replica knows operations of ${this.replica} that are not here`, {
        subject: own.id,
        remedy: "import an export of it into this place first: this place was put back to an earlier state",
      });
    }
    checkGaps(ledger, fresh);
    await store.append(tenant, fresh);
    // What a copy holds is taken in at once: it may have people's own items, and what is about an item is not told to others before the item is here.
    if (restoring) this.#take(fresh);
    else await inParts(inOrder(fresh), (part) => this.#take(part));
    this.#options.grown();
    return fresh;
  }

  async #read(take: (operations: readonly Operation[]) => void): Promise<void> {
    const { ledger, store, tenant } = this.#options;
    for await (const operations of store.read(tenant, Object.fromEntries(ledger.known))) await inParts(operations, take);
  }

  #see(operations: readonly Operation[]): void {
    for (const { time } of operations) this.#time.see(time);
  }

  #take(operations: readonly Operation[]): void {
    this.#see(operations);
    this.#changed(this.#options.ledger.apply(operations));
  }

  #changed(ids: ReadonlySet<string>): void {
    if (ids.size > 0) this.#options.changed(ids);
  }

  #number(drafts: readonly Draft[]): Operation[] {
    const { ledger, ids } = this.#options;
    let seq = ledger.known.get(this.replica) ?? 0n;
    return drafts.map(({ id = ids.next("kop"), actor, reason = "", change }) => {
      seq += 1n;
      return create(OperationSchema, { id, replica: this.replica, seq, time: this.#time.tick(), actor, reason, change });
    });
  }
}

async function inParts(operations: readonly Operation[], take: (operations: readonly Operation[]) => void): Promise<void> {
  for (let from = 0; from < operations.length; from += AT_ONCE) {
    if (from > 0) await nextTurn();
    take(operations.slice(from, from + AT_ONCE));
  }
}

/** By their positions: a part of them has no gaps then. */
function inOrder(operations: readonly Operation[]): Operation[] {
  return operations.toSorted((x, y) => Number(x.seq - y.seq));
}

function checkGaps(ledger: Ledger, operations: readonly Operation[]): void {
  const next = new Map<string, bigint>();
  for (const { replica, seq } of inOrder(operations)) {
    const expected = next.get(replica) ?? (ledger.known.get(replica) ?? 0n) + 1n;
    if (seq > expected) {
      throw new GuildError("failed_precondition", `operations ${expected} to ${seq - 1n} of a replica are missing`, {
        subject: replica,
        remedy: "exchange again from what is known",
      });
    }
    if (seq === expected) next.set(replica, seq + 1n);
  }
}

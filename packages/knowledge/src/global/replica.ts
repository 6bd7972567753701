import { create } from "@bufbuild/protobuf";
import { type Clock, GuildError, type Ids, type OperationStore } from "@guildhall/core";
import {
  type ConflictStrategy,
  type ExchangeOperationsRequest,
  ExchangeOperationsRequestSchema,
  type ExchangeOperationsResponse,
  ExchangeOperationsResponseSchema,
  type FeedbackKind,
  type Knowledge,
  type Operation,
  ScopeKind,
} from "@guildhall/protocol";

import { apart } from "./apart.ts";
import { checked } from "./checked.ts";
import { type Clash, scopeKey } from "./conflicts.ts";
import { content } from "./content.ts";
import { withheld } from "./exchange.ts";
import { Ledger } from "./ledger.ts";
import { News } from "./news.ts";
import { settledClash } from "./settled-clash.ts";
import { decide, unite } from "./strategy.ts";
import { GLOBAL_RETENTION } from "./worth.ts";
import { type Draft, Writer } from "./writer.ts";

export interface ReplicaOptions {
  tenant: string;
  store: OperationStore;
  clock: Pick<Clock, "now">;
  ids: Ids;
  /** How clashes are settled that nobody decides. ASK: they stay open. */
  strategy(): ConflictStrategy;
  /** A model judges contradictions: one that only the rules have found is not settled before (`judge`, `settle`). Default: it does not. */
  judged?(): boolean;
  /** Scopes whose items leave for other replicas. Default: all but a person's own. */
  leaves?(kind: ScopeKind): boolean;
  /** Items that changed. */
  changed?(ids: ReadonlySet<string>): void;
  graceMs?: number;
}

export interface Added {
  /** In the order of the request. */
  items: Knowledge[];
  /** Index in the request → the item that said so already. */
  merged: Map<number, string>;
}

/** What goes in one message: so many operations, and so many characters of what they say. */
const BATCH = 2_000;
const CHARACTERS = 1_000_000;
/** Longest that an answer is held back. */
const LONGEST_WAIT_MS = 20_000;

/**
 * One place's knowledge of one tenant: a log of operations that only grows, and what it amounts to. Two replicas that have exchanged all operations
 * know the same, whatever happened in between and in whatever order; exchanging again changes nothing.
 */
export class Replica {
  readonly ledger = new Ledger();
  readonly #options: ReplicaOptions;
  readonly #writer: Writer;
  readonly #news = new News(this.ledger);

  private constructor(options: ReplicaOptions, name: string) {
    this.#options = options;
    const { tenant, store, clock, ids, changed = () => undefined } = options;
    this.#writer = new Writer({ tenant, store, ledger: this.ledger, clock, ids, changed, grown: () => this.#news.tell() }, name);
  }

  static async open(options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(options, await options.store.replica(options.tenant));
    await replica.#writer.inTurn(() => replica.#writer.open());
    return replica;
  }

  get name(): string {
    return this.#writer.replica;
  }

  /** Takes in what other processes wrote into the same store. */
  refresh(): Promise<void> {
    return this.#writer.inTurn(() => this.#writer.refresh());
  }

  /** What is valid of an item, or as it was. Throws `not_found`. */
  read(id: string, options: { version?: number; asOf?: number } = {}): Knowledge {
    const found = this.ledger.read(id, options);
    if (found === undefined) throw new GuildError("not_found", "there is no such item, or it had no such version then", { subject: id });
    return found;
  }

  /**
   * Writes facts: new items, or new versions of items that are named. One that says what a valid item of its scope says already becomes more evidence of that. With an
   * operation id the same request may be sent again. Clashes that arise are settled by the strategy.
   */
  async add(items: readonly Knowledge[], by: { actor: string; operationId?: string }): Promise<Added> {
    const { actor, operationId = "" } = by;
    const facts = items.map(checked);
    return await this.#writer.inTurn(async () => {
      const ids: string[] = [];
      const merged = new Map<number, string>();
      for (const group of apart(facts)) {
        // Decided again when another process wrote meanwhile.
        let changes: Array<{ id: string; same: boolean; put?: Knowledge; operation?: string }> = [];
        await this.#writer.write(() => {
          changes = group.map(({ fact, at }) => this.#unlessDone(fact, actor, operationId === "" ? undefined : `${operationId}/${at}`));
          return changes.flatMap(({ put, operation }) => {
            const named = operation === undefined ? {} : { id: operation };
            return put === undefined ? [] : [{ ...named, actor, change: { case: "put", value: put } }];
          });
        });
        for (const [place, { id, same }] of changes.entries()) {
          const { at } = group[place] ?? { at: 0 };
          ids[at] = id;
          if (same) merged.set(at, id);
        }
        for (const { id, put } of changes) if (put !== undefined) await this.#settleNew(id);
      }
      return { items: ids.map((id) => this.read(id)), merged };
    });
  }

  /** A new version with the content of an earlier one. */
  async revert(id: string, version: number, actor: string): Promise<Knowledge> {
    const earlier = this.read(id, { version });
    return await this.#writer.inTurn(async () => {
      this.#alive(id);
      await this.#writer.write(() => [
        {
          actor,
          reason: `back to version ${version}`,
          change: { case: "put", value: content({ ...earlier, pinned: this.read(id).pinned }) },
        },
      ]);
      await this.#settleNew(id);
      return this.read(id);
    });
  }

  /** Until when it can be restored, milliseconds. Forgetting twice is forgetting once. */
  async forget(id: string, by: { actor: string; reason?: string }): Promise<number> {
    const { actor, reason = "" } = by;
    return await this.#writer.inTurn(async () => {
      this.read(id);
      if (this.ledger.item(id)?.forgottenAt === undefined) {
        await this.#writer.write(() => [{ actor, reason, change: { case: "forget", value: id } }]);
      }
      return (this.ledger.item(id)?.forgottenAt ?? 0) + this.#grace;
    });
  }

  /** Brings a forgotten or pruned item back. Throws `failed_precondition` when its grace period is over. */
  async restore(id: string, actor: string): Promise<Knowledge> {
    return await this.#writer.inTurn(async () => {
      this.read(id);
      const item = this.ledger.item(id);
      const since = item?.forgottenAt ?? item?.coldAt;
      if (since !== undefined && this.#now() > since + this.#grace) {
        throw new GuildError("failed_precondition", "its grace period is over", {
          subject: id,
          remedy: "add it again; its history shows the text",
        });
      }
      if (since !== undefined) await this.#writer.write(() => [{ actor, change: { case: "restore", value: id } }]);
      await this.#settleNew(id);
      return this.read(id);
    });
  }

  async feedback(
    ids: readonly string[],
    kind: FeedbackKind,
    by: { actor: string; session?: string; role?: string; project?: string },
  ): Promise<void> {
    const { actor, session = "", role = "", project = "" } = by;
    await this.#writer.inTurn(async () => {
      for (const id of ids) this.read(id);
      const value = { ids: [...ids], kind, sessionId: session, role, project };
      if (ids.length > 0) await this.#writer.write(() => [{ actor, change: { case: "feedback", value } }]);
    });
  }

  /** Sets items apart; they can be restored. */
  async prune(ids: readonly string[], reason: (id: string) => string): Promise<void> {
    await this.#writer.inTurn(async () => {
      await this.#writer.write(() => ids.map((id) => ({ actor: "system", reason: reason(id), change: { case: "prune", value: id } })));
    });
  }

  /** Settles a clash; `winner`: id of the item or version that a person chose. Throws `failed_precondition` when the strategy is to ask and nobody chose. */
  async resolve(id: string, strategy: ConflictStrategy, by: { actor: string; winner?: string }): Promise<Operation> {
    return await this.#writer.inTurn(async () => {
      const clash = this.ledger.clash(id) ?? settledClash(this.ledger, id);
      if (clash === undefined) throw new GuildError("not_found", "there is no such conflict", { subject: id });
      const written = await this.#settle(clash, strategy, by.actor, by.winner);
      if (written === undefined) {
        throw new GuildError("failed_precondition", "the strategy asks a person, and no side was chosen", {
          subject: id,
          remedy: "name the winner",
        });
      }
      return written;
    });
  }

  /** Writes what a model said of the present versions of an item and others, and settles what follows. Those that have changed meanwhile are passed over. */
  async judge(
    sides: ReadonlyArray<{ versions: readonly [string, string]; contradiction: boolean; reason: string }>,
    by: { actor: string; model: string },
  ): Promise<void> {
    await this.#writer.inTurn(async () => {
      await this.#writer.write(() =>
        sides
          .filter(({ versions }) => versions.every((id) => this.ledger.itemOfPut(id) !== undefined) && !this.ledger.isJudged(versions))
          .map(({ versions, contradiction, reason }) => ({
            actor: by.actor,
            change: { case: "judge", value: { sides: versions.toSorted(), contradiction, reason: reason.slice(0, 400), model: by.model } },
          })),
      );
      for (const id of new Set(sides.flatMap(({ versions }) => versions.flatMap((one) => this.ledger.itemOfPut(one) ?? []))))
        await this.#settleNew(id, true);
    });
  }

  /** Settles what an item clashes with by the rules, where no model has said anything. */
  async settle(id: string): Promise<void> {
    await this.#writer.inTurn(() => this.#settleNew(id, true));
  }

  /** Answers another replica: takes in what it sent, and tells what it lacks; where that is nothing, as soon as there is something, if it wants to wait so long. */
  async exchange(
    request: ExchangeOperationsRequest,
    { waitMs = 0, signal }: { waitMs?: number; signal?: AbortSignal } = {},
  ): Promise<ExchangeOperationsResponse> {
    const answer = await this.#writer.inTurn(async () => {
      await this.#receive(request.operations);
      return this.#answer(request);
    });
    if (waitMs <= 0 || request.operations.length > 0 || answer.operations.length > 0) return answer;
    await this.news(request.known, { ms: Math.min(waitMs, LONGEST_WAIT_MS), ...(signal === undefined ? {} : { signal }) });
    return this.#answer(request);
  }

  /** Resolves when this replica knows what somebody who knows so much lacks; with `ms` or `signal` then at the latest. */
  news(known: Readonly<Record<string, bigint>>, options: { ms?: number; signal?: AbortSignal } = {}): Promise<void> {
    return this.#news.beyond(known, options);
  }

  /** Lets go of those that wait for news; what is known can still be asked for. */
  close(): void {
    this.#news.end();
  }

  #answer({ known }: ExchangeOperationsRequest): ExchangeOperationsResponse {
    const { operations, more } = this.ledger.after(known, BATCH, CHARACTERS);
    return create(ExchangeOperationsResponseSchema, {
      replica: this.name,
      known: Object.fromEntries(this.ledger.known),
      operations: this.#leaving(operations),
      more,
    });
  }

  /**
   * Exchanges with another replica until neither lacks anything. What was exchanged before a failure stays. `waitMs`: the other may hold its first
   * answer back until it has news.
   */
  async synchronise(
    ask: (request: ExchangeOperationsRequest, waitMs: number) => Promise<ExchangeOperationsResponse>,
    options: { waitMs?: number } = {},
  ): Promise<{ sent: number; received: number }> {
    let sent = 0;
    let received = 0;
    let { waitMs = 0 } = options;
    let theirs: Record<string, bigint> | undefined;
    for (;;) {
      const toSend = theirs === undefined ? { operations: [], more: false } : this.ledger.after(theirs, BATCH, CHARACTERS);
      const request = create(ExchangeOperationsRequestSchema, {
        replica: this.name,
        known: Object.fromEntries(this.ledger.known),
        operations: this.#leaving(toSend.operations),
      });
      const answer = await ask(request, waitMs);
      waitMs = 0;
      sent += toSend.operations.length;
      received += (await this.#writer.inTurn(() => this.#receive(answer.operations))).length;
      theirs = answer.known;
      if (!answer.more && !toSend.more && this.ledger.after(theirs, 1).operations.length === 0) return { sent, received };
    }
  }

  /** Takes a copy's operations in; those that are known change nothing. Answers with how many were new. */
  async import(operations: readonly Operation[]): Promise<number> {
    return await this.#writer.inTurn(async () => (await this.#receive(operations, true)).length);
  }

  async #receive(operations: readonly Operation[], restoring = false): Promise<Operation[]> {
    const fresh = await this.#writer.receive(operations, restoring);
    const ids = new Set(fresh.flatMap(({ change }) => this.#touched(change)));
    for (const id of ids) await this.#settleNew(id);
    return fresh;
  }

  #touched(change: Operation["change"]): string[] {
    if (change.case === "put") return [change.value.id];
    return change.case === "judge" ? change.value.sides.flatMap((side) => this.ledger.itemOfPut(side) ?? []) : [];
  }

  #leaving(operations: readonly Operation[]): Operation[] {
    const leaves = this.#options.leaves ?? ((kind) => kind !== ScopeKind.USER);
    return operations.map((one) => withheld(one, this.ledger, leaves));
  }

  /** What a request that is sent again has written already stays as it is. */
  #unlessDone(
    fact: Knowledge,
    actor: string,
    operation: string | undefined,
  ): { id: string; same: boolean; put?: Knowledge; operation?: string } {
    const done = operation === undefined ? undefined : this.ledger.itemOfPut(operation);
    if (done !== undefined) return { id: done, same: false };
    return { ...this.#change(fact, actor), ...(operation === undefined ? {} : { operation }) };
  }

  #change(fact: Knowledge, actor: string): { id: string; same: boolean; put?: Knowledge } {
    if (fact.id !== "" && this.ledger.item(fact.id) !== undefined) {
      this.#alive(fact.id);
      const present = this.read(fact.id);
      if (
        present.text === fact.text &&
        present.title === fact.title &&
        present.key === fact.key &&
        scopeKey(present) === scopeKey(fact) &&
        unite(present, fact).length === present.evidence.length
      ) {
        return { id: fact.id, same: false };
      }
      return { id: fact.id, same: false, put: content({ ...fact, author: actor }) };
    }
    if (fact.id !== "")
      throw new GuildError("not_found", "there is no such item", { subject: fact.id, remedy: "leave the id out for a new one" });
    const same = this.ledger.related(fact).find((one) => one.kind === "duplicate");
    if (same === undefined) {
      const id = this.#options.ids.next("kno");
      return { id, same: false, put: content({ ...fact, id, author: actor }) };
    }
    const known = this.read(same.item);
    const evidence = unite(known, fact);
    const longer = fact.text.length > known.text.length ? fact.text : known.text;
    if (evidence.length === known.evidence.length && longer === known.text) return { id: known.id, same: true };
    const confidence = Math.max(known.confidence, fact.confidence);
    return { id: known.id, same: true, put: content({ ...known, text: longer, evidence, confidence }) };
  }

  /** What the newest version of an item clashes with is settled, as far as the strategy can. */
  async #settleNew(id: string, final = false): Promise<void> {
    for (const clash of this.ledger.openClashes(id)) {
      if (!final && clash.kind === "contradiction" && this.#options.judged?.() === true && !this.ledger.isJudged(clash.sides)) continue;
      // The one before may have ended it.
      if (this.ledger.clash(clash.id) !== undefined) await this.#settle(clash, this.#options.strategy(), "system");
    }
  }

  async #settle(clash: Clash, strategy: ConflictStrategy, actor: string, winner = ""): Promise<Operation | undefined> {
    const written = await this.#writer.write(() => {
      const verdict = decide(this.ledger, clash, strategy, winner);
      if (verdict === undefined) return [];
      const { id, kind, sides, reason } = clash;
      const value = { conflictId: id, strategy, losers: verdict.losers, kind, sides: [...sides], reason };
      const settle: Draft = { actor, change: { case: "settle", value } };
      if (verdict.merged === undefined) return [settle];
      return [{ actor, reason: `settles ${id}`, change: { case: "put", value: content(verdict.merged) } }, settle];
    });
    return written.at(-1);
  }

  #alive(id: string): void {
    if (this.ledger.item(id)?.forgottenAt === undefined) return;
    throw new GuildError("failed_precondition", "it was forgotten", {
      subject: id,
      remedy: `bring it back first: guild knowledge restore ${id}`,
    });
  }

  #now(): number {
    return this.#options.clock.now().getTime();
  }

  get #grace(): number {
    return this.#options.graceMs ?? GLOBAL_RETENTION.graceMs;
  }
}

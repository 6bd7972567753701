import { setImmediate as nextTurn } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { type Clock, type Embedder, GuildError, type VectorIndex } from "@guildhall/core";
import { type FoundKnowledge, FoundKnowledgeSchema, type Knowledge, KnowledgeState, type Scope } from "@guildhall/protocol";

import type { RetrievalDocument } from "../retrieval/document.ts";
import { HybridIndex } from "../retrieval/hybrid-index.ts";
import { relevant } from "../retrieval/relevant.ts";
import { type Asker, Collaborative } from "./collaborative.ts";
import { scopeKey } from "./conflicts.ts";
import { holdsAt } from "./item.ts";
import { GONE, type Ledger } from "./ledger.ts";
import { worthOf } from "./worth.ts";

export interface GlobalSearchOptions {
  ledger: Ledger;
  clock: Pick<Clock, "now">;
  /** Without the two, search is by words alone. */
  embedder?: Embedder;
  vectors?: VectorIndex;
  pace?(): Promise<void>;
  /** The index of before a change of model, asked until the new one is whole. */
  former?: { embedder: Embedder; vectors: VectorIndex; replaced(): void };
  /** Whether what a fact rests on has changed. */
  doubt?(knowledge: Knowledge): Promise<boolean>;
}

export interface GlobalQuery extends Asker {
  query: string;
  limit: number;
  /** Empty: all. */
  scopes?: readonly Scope[];
  /** All of them. */
  tags?: readonly string[];
  /** Milliseconds. */
  asOf?: number;
  /** Whatever is nearest, though it would be no answer to a question. */
  related?: boolean;
  /** By words alone, without waiting for the text encoder. */
  quick?: boolean;
  signal?: AbortSignal;
}

/** How far worth and the use of others may move a score, and what doubt leaves of it. */
const WORTH = 0.5;
const OTHERS = 0.25;
const DOUBTED = 0.6;
const CANDIDATES = 60;
/** Items that are indexed before others get their turn: some milliseconds. */
const AT_ONCE = 100;

/** Search over what is valid: words and meaning, moved within bounds by worth and by what was of use to like sessions. */
export class GlobalSearch {
  readonly #options: GlobalSearchOptions;
  readonly #index: HybridIndex;
  #collaborative: Collaborative | undefined;

  private constructor(options: GlobalSearchOptions) {
    this.#options = options;
    const { embedder, vectors, pace, former } = options;
    this.#index = new HybridIndex({
      profile: "prose",
      ...(embedder === undefined || vectors === undefined ? {} : { embedder, vectors }),
      ...(pace === undefined ? {} : { pace: () => pace() }),
      ...(former === undefined ? {} : { former }),
    });
  }

  /** Over all that a ledger has; others get their turn while it is made. What changes meanwhile is to be told with `changed`, from the moment that `begun` is called. */
  static async open(options: GlobalSearchOptions, begun: (search: GlobalSearch) => void = () => undefined): Promise<GlobalSearch> {
    const search = new GlobalSearch(options);
    begun(search);
    const ids = Array.from(options.ledger.items(), (item) => item.id);
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      search.changed(new Set(ids.slice(from, from + AT_ONCE)));
      await nextTurn();
    }
    return search;
  }

  /** Items without a vector yet. */
  get lag(): number {
    return this.#index.lag;
  }

  /** The model whose vectors answer while all is embedded anew; undefined: the present one's. */
  get answering(): string | undefined {
    return this.#index.answering?.id;
  }

  async settled(): Promise<void> {
    await this.#index.settled();
  }

  /** The vectors are gone: they are made again from the rows, behind the words. */
  refill(): void {
    this.#index.refill();
  }

  /** Indexes items again from the ledger, and waits for their vectors. */
  async rebuild(ids: readonly string[]): Promise<void> {
    await this.#index.remove(ids);
    this.changed(new Set(ids));
    await this.#index.settled();
  }

  /** Found by words when it returns. */
  changed(ids: ReadonlySet<string>): void {
    const { ledger } = this.#options;
    this.#collaborative = undefined;
    const documents: RetrievalDocument[] = [];
    const gone: string[] = [];
    for (const id of ids) {
      const known = this.#index.get(id);
      // Looked at, not read: no copy is made of each.
      const knowledge = ledger.isValid(id) ? ledger.peek(id) : undefined;
      if (knowledge === undefined) {
        if (known !== undefined) gone.push(id);
        continue;
      }
      if (known?.text !== knowledge.text || known.title !== titleOf(knowledge)) documents.push(documentOf(knowledge));
    }
    this.#index.add(documents);
    // Words are gone when this returns; what fails of the vectors finds nothing, for the items are looked up.
    if (gone.length > 0) this.#index.remove(gone).catch(() => undefined);
  }

  /** Best first. Throws `invalid_argument` for an empty query: that is no question, and finding nothing is an answer. */
  async find(query: GlobalQuery): Promise<{ found: FoundKnowledge[]; degraded: string }> {
    const { asOf, limit, signal } = query;
    if (query.query.trim() === "") throw new GuildError("invalid_argument", "an empty query", { remedy: "say what to look for" });
    const { ledger, clock } = this.#options;
    const now = clock.now().getTime();
    const index = asOf === undefined ? this.#index : this.#asItWas(asOf);
    const { hits, degraded = "" } = await index.search(query.query, {
      limit: Math.max(CANDIDATES, limit * 3),
      ...(query.quick === true ? { arm: "lexical" as const } : {}),
      accept: accepts(ledger, query, now),
      ...(signal === undefined ? {} : { signal }),
    });
    const answers = query.related === true ? hits : relevant(hits);
    this.#collaborative ??= new Collaborative(ledger.used(), now);
    const others = this.#collaborative.scores(
      answers.map((hit) => hit.id),
      query,
    );
    const found = await Promise.all(answers.map((hit) => this.#found(hit, others.get(hit.id) ?? 0, query, now)));
    return {
      found: found
        .filter((one) => one !== undefined)
        .toSorted((x, y) => y.score - x.score || ((x.item?.id ?? "") < (y.item?.id ?? "") ? -1 : 1))
        .slice(0, limit),
      degraded,
    };
  }

  async #found(hit: { id: string; score: number }, others: number, query: GlobalQuery, now: number): Promise<FoundKnowledge | undefined> {
    const { ledger, doubt } = this.#options;
    const item = ledger.item(hit.id);
    const knowledge = ledger.read(hit.id, query.asOf === undefined ? {} : { asOf: query.asOf });
    if (item === undefined || knowledge === undefined) return undefined;
    const doubtful = query.asOf === undefined && ((await doubt?.(knowledge)) ?? false);
    if (doubtful) knowledge.state = KnowledgeState.DOUBTFUL;
    const worth = worthOf(item, knowledge, now);
    const factor = (1 + WORTH * worth.score) * (1 + OTHERS * others) * (doubtful ? DOUBTED : 1);
    const parts = [
      { name: "match", value: hit.score, text: "by words and meaning" },
      { name: "worth", value: WORTH * worth.score, text: worth.parts.map(({ name, value }) => `${name} ${value.toFixed(2)}`).join(", ") },
      ...(others === 0 ? [] : [{ name: "similar users", value: OTHERS * others, text: "sessions that used the same" }]),
      ...(doubtful ? [{ name: "doubt", value: DOUBTED, text: "what it rests on has changed" }] : []),
    ];
    return create(FoundKnowledgeSchema, { item: knowledge, score: hit.score * factor, parts });
  }

  /** Words alone, and made for one question: what was known at a time is asked for seldom. */
  #asItWas(at: number): HybridIndex {
    const { ledger } = this.#options;
    const index = new HybridIndex({ profile: "prose" });
    index.add(
      [...ledger.items()].flatMap((item) => {
        const knowledge = ledger.read(item.id, { asOf: at });
        return knowledge === undefined || GONE.has(knowledge.state) ? [] : [documentOf(knowledge)];
      }),
    );
    return index;
  }
}

function accepts(ledger: Ledger, query: GlobalQuery, now: number): (id: string) => boolean {
  const { scopes = [], tags = [], asOf } = query;
  const wanted = new Set(scopes.map((scope) => scopeKey({ scope })));
  return (id) => {
    const knowledge = asOf === undefined ? ledger.peek(id) : ledger.read(id, { asOf });
    if (knowledge === undefined || !holdsAt(knowledge, asOf ?? now)) return false;
    if (wanted.size > 0 && !wanted.has(scopeKey(knowledge))) return false;
    return tags.every((tag) => knowledge.tags.includes(tag));
  };
}

function titleOf({ title, key, tags }: Knowledge): string {
  return [title, key, ...tags].filter((part) => part !== "").join(" ");
}

function documentOf(knowledge: Knowledge): RetrievalDocument {
  return { id: knowledge.id, text: knowledge.text, title: titleOf(knowledge) };
}

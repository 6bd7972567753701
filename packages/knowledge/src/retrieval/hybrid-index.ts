import { type Embedder, type EmbeddingModel, GuildError, type VectorIndex } from "@guildhall/core";

import { Bm25Index, type Hit, type QueryTerm, type WeightedTokens } from "../lexical/bm25.ts";
import { tokenize, tokenizeCode } from "../lexical/tokenize.ts";
import { LANGUAGE_NAMES } from "./code-fields.ts";
import { DenseArm } from "./dense-arm.ts";
import type { Profile, RetrievalDocument } from "./document.ts";
import { type Analysed, analyse, BM25_OPTIONS, contextWeight, DENSE_WEIGHTS, REACH } from "./fields.ts";
import { fuse } from "./fuse.ts";
import type { MixedHit } from "./relevant.ts";
import { withSynonyms } from "./synonyms.ts";
import { type Neighbour, Threads } from "./threads.ts";
import { Translations } from "./translations.ts";

export interface HybridIndexOptions {
  profile: Profile;
  /** Without the two, retrieval is lexical. The index must hold vectors of the embedder's model. */
  embedder?: Embedder;
  vectors?: VectorIndex;
  /** What the dense arm counts, 0 to 1; the lexical one counts the rest. Default: what suits the profile. */
  denseWeight?: number;
  /** Awaited before each batch of documents goes to the embedder. Default: at once. */
  pace?(): Promise<void>;
  /** Vectors of another model that answer until those of `embedder` are whole; `replaced` is called once then. */
  former?: { embedder: Embedder; vectors: VectorIndex; replaced(): void };
}

export type Arm = "lexical" | "dense" | "mix";

export interface SearchOptions {
  limit: number;
  arm?: Arm;
  accept?: (id: string) => boolean;
  signal?: AbortSignal;
}

export interface SearchResult {
  hits: MixedHit[];
  /** Why the dense arm took no part although it should have; the hits are then lexical. */
  degraded?: string;
}

interface Known {
  document: RetrievalDocument;
  language: string | undefined;
  /** Kept for pieces of threads: what they and their neighbours are indexed with. */
  kept: Pick<Analysed, "fields" | "context"> | undefined;
}

/** Hits of each arm that are mixed. */
const POOL = 100;
/** Functions by words of which the translation tells which come first. */
const TRANSLATED = 300;

/**
 * Lexical and dense retrieval over one collection. What is added is found lexically at once and densely as soon as the embedder is
 * through (`settled`, `lag`). A failing embedder never fails a mixed search: it is told in `degraded`.
 */
export class HybridIndex {
  readonly #profile: Profile;
  readonly #denseWeight: number;
  readonly #lexical: Bm25Index;
  readonly #dense: DenseArm | undefined;
  #former: { arm: DenseArm; model: EmbeddingModel; replaced(): void } | undefined;
  readonly #documents = new Map<string, Known>();
  readonly #threads = new Threads();
  readonly #languages = new Map<string, number>();
  readonly #translations: Translations | undefined;

  constructor(options: HybridIndexOptions) {
    this.#profile = options.profile;
    this.#denseWeight = options.denseWeight ?? DENSE_WEIGHTS[options.profile];
    this.#lexical = new Bm25Index(BM25_OPTIONS[options.profile]);
    this.#translations = options.profile === "code" ? new Translations() : undefined;
    const { embedder, vectors, pace = () => Promise.resolve() } = options;
    this.#dense = embedder === undefined || vectors === undefined ? undefined : new DenseArm(embedder, vectors, this.#threads, pace);
    const { former } = options;
    if (former !== undefined) {
      // It is only asked: nothing is added to it any more.
      const arm = new DenseArm(former.embedder, former.vectors, new Threads(), pace);
      this.#former = { arm, model: former.embedder.model, replaced: () => former.replaced() };
    }
  }

  /** The model whose vectors answer until those of the present one are whole. */
  get answering(): EmbeddingModel | undefined {
    return this.#former?.model;
  }

  get size(): number {
    return this.#documents.size;
  }

  /** Documents that are not embedded yet. */
  get lag(): number {
    return this.#dense?.lag ?? 0;
  }

  get(id: string): RetrievalDocument | undefined {
    return this.#documents.get(id)?.document;
  }

  *documents(): Generator<RetrievalDocument> {
    for (const { document } of this.#documents.values()) yield document;
  }

  /** Replaces documents of the same id. Lexically visible when it returns. */
  add(documents: readonly RetrievalDocument[]): void {
    const touched = new Map<string, RetrievalDocument>();
    for (const document of documents) {
      this.#forget(document.id, touched);
      const analysed = analyse(document);
      const { code } = analysed;
      if (code !== undefined) {
        this.#count(code.language, 1);
        this.#translations?.add(document.id, code.summary, code.program);
      }
      this.#threads.add(document);
      const threaded = document.thread !== undefined && document.order !== undefined;
      this.#documents.set(document.id, {
        document,
        language: code?.language,
        kept: threaded ? { fields: analysed.fields, context: analysed.context } : undefined,
      });
      this.#dense?.add(document, analysed.dense);
      if (!threaded) this.#lexical.add(document.id, analysed.fields);
      else if (this.#threads.isLast(document)) this.#append(document, analysed, touched);
      else for (const { id } of [document, ...this.#threads.around(document, REACH)]) this.#touch(id, touched);
    }
    this.#reindex(touched);
  }

  /** With `keepContext` their words go on helping to find their neighbours: cheaper, for what is not to be unsaid but only to leave. */
  async remove(ids: readonly string[], options: { keepContext?: boolean } = {}): Promise<void> {
    const touched = new Map<string, RetrievalDocument>();
    for (const id of ids) this.#forget(id, touched);
    if (options.keepContext !== true) this.#reindex(touched);
    await this.#dense?.remove(ids);
  }

  /** When all that was added before is found densely too. Rejects with what kept the embedder from it; the next call tries again. */
  async settled(): Promise<void> {
    await this.#dense?.settled();
    this.#denseArm();
  }

  /** The arm that answers: the former one until everything has a new vector. */
  #denseArm(): DenseArm | undefined {
    const former = this.#former;
    if (former === undefined || this.#dense === undefined || this.#dense.lag > 0) return former?.arm ?? this.#dense;
    this.#former = undefined;
    former.replaced();
    return this.#dense;
  }

  /** All vectors are gone: they are made again, behind the words. */
  refill(): void {
    for (const { document } of this.#documents.values()) this.#dense?.add(document, analyse(document).dense);
  }

  /** A document in another state (uses, importance): no words changed, so nothing is indexed again. */
  update(id: string, change: Partial<Pick<RetrievalDocument, "importance" | "uses">>): void {
    const known = this.#documents.get(id);
    if (known !== undefined) known.document = { ...known.document, ...change };
  }

  /** Best first. An empty query finds nothing. */
  async search(query: string, options: SearchOptions): Promise<SearchResult> {
    const { limit, accept, signal, arm = "mix" } = options;
    if (query.trim() === "" || limit <= 0) return { hits: [] };
    const pool = Math.max(limit, POOL);
    const asked = this.asked(query);
    await this.#translations?.ready();
    const lexical = (count: number): Hit[] => this.#byWords(asked, count, accept);
    if (arm === "lexical") return { hits: byWords(lexical(limit)) };
    const dense = this.#denseArm();
    if (dense === undefined) {
      if (arm === "mix") return { hits: byWords(lexical(limit)) };
      throw new GuildError("failed_precondition", "this index has no vectors", { remedy: "configure an embedder" });
    }
    if (arm === "dense") return { hits: await dense.search(asked, limit, accept, signal) };
    const words = lexical(pool);
    try {
      const meanings = await dense.search(asked, pool, accept, signal);
      const weight = this.#denseWeight;
      const mixed = fuse([
        { hits: words, weight: 1 - weight },
        { hits: meanings, weight },
      ]);
      const [said, meant] = [scoresOf(words), scoresOf(meanings)];
      return {
        hits: mixed.slice(0, limit).map((hit) => ({ ...hit, ...known("words", said.get(hit.id)), ...known("meaning", meant.get(hit.id)) })),
      };
    } catch (error) {
      signal?.throwIfAborted();
      return { hits: byWords(words.slice(0, limit)), degraded: GuildError.from(error).line };
    }
  }

  /** Documents that share the rarest words with a text, by words alone. */
  near(text: string, limit: number): Hit[] {
    return this.#lexical.search([...new Set(tokenize(text))].slice(0, 64), limit);
  }

  /** What the arms are asked: without the name of the one language in which nearly all here is written, for it tells nothing apart. */
  asked(query: string): string {
    if (this.#profile === "prose") return query;
    const [language] = [...this.#languages].find(([, count]) => count > this.#documents.size * 0.9) ?? [];
    const names = language === undefined ? [] : (LANGUAGE_NAMES[language] ?? []);
    const told = query.replaceAll(/[\p{L}\p{N}_]+/gu, (word) => (names.includes(word.toLowerCase()) ? "" : word));
    return /[\p{L}\p{N}]/u.test(told) ? told.replaceAll(/\s+/g, " ").trim() : query;
  }

  #byWords(asked: string, count: number, accept: SearchOptions["accept"]): Hit[] {
    const terms = this.#terms(asked);
    if (this.#translations === undefined) return this.#lexical.search(terms, count, accept);
    const hits = this.#lexical.search(terms, Math.max(count, TRANSLATED), accept);
    return this.#translations
      .ranked(
        terms.flatMap((term) => [...term.keys()].slice(0, 1)),
        hits,
      )
      .slice(0, count);
  }

  #terms(query: string): QueryTerm[] {
    if (this.#profile !== "code") return tokenize(query).map((token) => new Map([[token, 1]]));
    return withSynonyms(tokenizeCode(query).map((token) => this.#lexical.spelled(token)));
  }

  #forget(id: string, touched: Map<string, RetrievalDocument>): void {
    const known = this.#documents.get(id);
    if (known === undefined) return;
    const { document, language } = known;
    if (language !== undefined) this.#count(language, -1);
    this.#documents.delete(id);
    this.#lexical.remove(id);
    this.#translations?.remove(id);
    this.#threads.remove(document);
    touched.delete(id);
    for (const neighbour of this.#threads.around(document, REACH)) this.#touch(neighbour.id, touched);
  }

  #touch(id: string, touched: Map<string, RetrievalDocument>): void {
    const known = this.#documents.get(id);
    if (known !== undefined) touched.set(id, known.document);
  }

  /** The usual case, a thread that goes on: those before it get its words, and are not indexed again. */
  #append(document: RetrievalDocument, { fields, context }: Analysed, touched: ReadonlyMap<string, RetrievalDocument>): void {
    this.#lexical.add(document.id, [...fields, ...this.#context(document)]);
    for (const neighbour of this.#threads.around(document, REACH)) {
      if (!touched.has(neighbour.id)) this.#lexical.extend(neighbour.id, lighter(context, { ...neighbour, before: false }));
    }
  }

  /** Pieces of threads are indexed with some of their neighbours' words. */
  #reindex(touched: ReadonlyMap<string, RetrievalDocument>): void {
    for (const [id, document] of touched) {
      this.#lexical.add(id, [...(this.#documents.get(id)?.kept?.fields ?? analyse(document).fields), ...this.#context(document)]);
    }
  }

  #context(document: RetrievalDocument): WeightedTokens[] {
    return this.#threads
      .around(document, REACH)
      .flatMap((neighbour) => lighter(this.#documents.get(neighbour.id)?.kept?.context ?? [], neighbour));
  }

  #count(language: string, by: number): void {
    this.#languages.set(language, (this.#languages.get(language) ?? 0) + by);
  }
}

function lighter(fields: readonly WeightedTokens[], neighbour: Neighbour): WeightedTokens[] {
  const context = contextWeight(neighbour);
  return fields.map(({ tokens, weight }) => ({ tokens, weight: weight * context }));
}

function byWords(hits: readonly Hit[]): MixedHit[] {
  return hits.map((hit) => ({ ...hit, words: hit.score }));
}

function scoresOf(hits: readonly Hit[]): Map<string, number> {
  return new Map(hits.map(({ id, score }) => [id, score]));
}

function known<K extends string>(name: K, value: number | undefined): { [name in K]?: number } {
  return value === undefined ? {} : ({ [name]: value } as { [name in K]?: number });
}

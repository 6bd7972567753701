import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Clock,
  type Embedder,
  GuildError,
  type KnowledgeSource,
  type RecallRequest,
  type RecallResult,
  type Recollection,
  type Remembered,
  type SessionMemory,
  type VectorIndex,
} from "@guildhall/core";
import type { Event, ToolCall } from "@guildhall/protocol";

import { tokenize } from "../lexical/tokenize.ts";
import { diversify, jaccard } from "../retrieval/diversify.ts";
import { HybridIndex } from "../retrieval/hybrid-index.ts";
import { pack } from "../retrieval/pack.ts";
import { priorFactor, priorParts } from "../retrieval/priors.ts";
import { relevant } from "../retrieval/relevant.ts";
import { Branches } from "./branches.ts";
import { changesFile, memoryEffect, type Piece, piecesOf } from "./pieces.ts";
import { expired, explain, type Explanation, RETENTION, type RetentionPolicy } from "./retention.ts";

export interface SessionMemoryOptions {
  /** Asked only before the first event: afterwards the log's times count. */
  clock: Pick<Clock, "now">;
  /** Without the two, recall is lexical. Wrap the embedder in `cachedEmbedder`, so that a restart embeds nothing again. */
  embedder?: Embedder;
  vectors?: VectorIndex;
  /** Awaited before each batch of pieces goes to the embedder, for a worker that has more urgent work. Default: at once. */
  pace?(): Promise<void>;
  /** Asked along; a source that is away is told in `degraded` and waited for no longer than `sourceTimeoutMs` (default 500). */
  sources?: readonly KnowledgeSource[];
  sourceTimeoutMs?: number;
  retention?: Partial<RetentionPolicy>;
}

/** What else the session's worker does with its memory. */
export interface LocalSessionMemory extends SessionMemory {
  readonly size: number;
  /** Pieces without a vector yet. */
  readonly lag: number;
  get(id: string): Piece | undefined;
  /** When everything is found densely too. */
  settled(): Promise<void>;
  /** Why a piece stays or goes; undefined when there is none. */
  why(id: string): Explanation | undefined;
  /** Takes out what the policy no longer keeps, and gives the ids. Called by `observe` as well. */
  collect(): string[];
  /** Pieces that must reach the workshop before they may leave. */
  holdForSync(ids: readonly string[]): void;
  synchronised(ids: readonly string[]): void;
}

/** From this share of words in common on two pieces say the same. */
const SAME = 0.9;
const CANDIDATES = 40;
/** Importance of what is out of date. */
const STALE = 0.1;
const COLLECT_EVERY_MS = 60 * 60 * 1000;

export function openSessionMemory(options: SessionMemoryOptions): LocalSessionMemory {
  return new IndexedSessionMemory(options);
}

class IndexedSessionMemory implements LocalSessionMemory {
  readonly #options: SessionMemoryOptions;
  readonly #policy: RetentionPolicy;
  readonly #index: HybridIndex;
  readonly #pieces = new Map<string, Piece>();
  /** Pieces that a rewind has left: a later one may come back to them. */
  readonly #left = new Map<string, Piece>();
  readonly #branches = new Branches();
  readonly #calls = new Map<string, ToolCall>();
  readonly #unsynchronised = new Set<string>();
  readonly #words = new WeakMap<Piece, ReadonlySet<string>>();
  #bytes = 0;
  /** Time of the newest event. */
  #newest = 0;
  #collected = 0;

  constructor(options: SessionMemoryOptions) {
    this.#options = options;
    this.#policy = { ...RETENTION, ...options.retention };
    const { embedder, vectors, pace } = options;
    this.#index = new HybridIndex({
      profile: "conversation",
      ...(embedder === undefined || vectors === undefined ? {} : { embedder, vectors }),
      ...(pace === undefined ? {} : { pace: () => pace() }),
    });
  }

  get size(): number {
    return this.#pieces.size;
  }

  get lag(): number {
    return this.#index.lag;
  }

  get(id: string): Piece | undefined {
    return this.#pieces.get(id);
  }

  async settled(): Promise<void> {
    await this.#index.settled();
  }

  observe(events: readonly Event[]): void {
    // One after another, whether they come one by one or all at a restart: the same is remembered either way.
    for (const event of events) {
      if (!this.#branches.take(event)) continue;
      if (event.time !== undefined) this.#newest = Math.max(this.#newest, timestampMs(event.time));
      if (event.body.case === "sessionRewound") this.#followBranch();
      if (event.body.case === "modelReplied") for (const call of event.body.value.toolCalls) this.#calls.set(call.callId, call);
      const call = event.body.case === "actionFinished" ? this.#calls.get(event.body.value.callId) : undefined;
      if (event.body.case === "actionFinished") this.#calls.delete(event.body.value.callId);
      const pieces = piecesOf(event, call);
      if (call !== undefined && changesFile(call)) this.#ageFile(pieces[0]?.path);
      this.#add(pieces);
      const { remembered, forgotten } = memoryEffect(event, call);
      if (remembered !== undefined) this.remember(remembered.id, remembered.text, remembered);
      if (forgotten !== undefined) this.forget(forgotten);
    }
    const now = this.#now();
    const full = this.#pieces.size > this.#policy.maxItems || this.#bytes > this.#policy.maxBytes;
    if (full || now - this.#collected > COLLECT_EVERY_MS) this.collect();
  }

  async recall(request: RecallRequest): Promise<RecallResult> {
    const { query, tokens, limit = 8, throughSeq = Infinity, quick = false, signal } = request;
    signal?.throwIfAborted();
    const asked = (this.#options.sources ?? []).map((source) => this.#ask(source, query, limit, signal));
    const { hits, degraded } = await this.#index.search(query, {
      limit: CANDIDATES,
      ...(quick ? { arm: "lexical" as const } : {}),
      accept: (id) => (this.#pieces.get(id)?.seq ?? Infinity) <= throughSeq,
      ...(signal === undefined ? {} : { signal }),
    });
    const now = this.#now();
    const scored = relevant(hits).flatMap((hit) => {
      const piece = this.#pieces.get(hit.id);
      return piece === undefined ? [] : [{ ...recollection(piece), score: hit.score * priorFactor(priorParts(piece, now)) }];
    });
    const elsewhere = await Promise.all(asked);
    const all = merge(scored, ...elsewhere.map((one) => one.items));
    const packed = pack(
      diversify(
        all.map((one) => ({ ...one, tokens: words(one.text) })),
        limit,
      ),
      tokens,
    );
    for (const { id } of packed.items) this.#used(id);
    const away = elsewhere.flatMap((one) => one.failure ?? []);
    return {
      text: packed.text,
      items: packed.items.map(({ id, text, source, score, at }) => ({ id, text, source, score, ...(at === undefined ? {} : { at }) })),
      degraded: degraded === undefined ? away : [`similarity by meaning: ${degraded}`, ...away],
    };
  }

  remember(id: string, text: string, options: { title?: string; pinned?: boolean } = {}): Remembered {
    if (text.trim() === "") throw new GuildError("invalid_argument", "there is nothing to remember");
    if (this.#pieces.has(id)) return { id, known: true };
    const same = this.#saidAlready(text, (piece) => piece.source === "remembered");
    if (same !== undefined) {
      this.#used(same.id);
      return { id: same.id, known: true };
    }
    const { title, pinned = false } = options;
    const at = this.#now();
    const piece: Piece = {
      id,
      text: text.trim(),
      at,
      seq: 0,
      source: "remembered",
      importance: 0.9,
      pinned,
      ...(title === undefined ? {} : { title }),
    };
    this.#keep([piece]);
    return { id, known: false };
  }

  forget(id: string): boolean {
    this.#unsynchronised.delete(id);
    this.#left.delete(id);
    return this.#drop([id]) > 0;
  }

  why(id: string): Explanation | undefined {
    const piece = this.#pieces.get(id);
    return piece === undefined ? undefined : explain(piece, this.#now(), this.#holds);
  }

  collect(): string[] {
    const leaving = expired(this.#pieces.values(), this.#policy, this.#now(), this.#holds);
    this.#drop(leaving, { keepContext: true });
    this.#collected = this.#now();
    return leaving;
  }

  holdForSync(ids: readonly string[]): void {
    for (const id of ids) if (this.#pieces.has(id)) this.#unsynchronised.add(id);
  }

  synchronised(ids: readonly string[]): void {
    for (const id of ids) this.#unsynchronised.delete(id);
  }

  async close(): Promise<void> {
    await this.#options.vectors?.close();
  }

  readonly #holds = { isUnsynchronised: (id: string): boolean => this.#unsynchronised.has(id) };

  #add(pieces: readonly Piece[]): void {
    const added: Piece[] = [];
    for (const piece of pieces) {
      const same = this.#saidAlready(piece.text, (one) => one.title === piece.title || one.source === "remembered");
      if (same === undefined) added.push(piece);
      else same.at = Math.max(same.at ?? 0, piece.at ?? 0);
    }
    this.#keep(added);
  }

  /** The session's own time: a session that rests ages nothing, and a log taken in again gives the same. */
  #now(): number {
    return this.#newest > 0 ? this.#newest : this.#options.clock.now().getTime();
  }

  #keep(pieces: readonly Piece[]): void {
    for (const piece of pieces) {
      this.#pieces.set(piece.id, piece);
      this.#bytes += piece.text.length;
    }
    this.#index.add(pieces);
  }

  /** A piece that says the same: seen again, an output is not another memory. */
  #saidAlready(text: string, among: (piece: Piece) => boolean): Piece | undefined {
    const own = words(text);
    for (const { id } of this.#index.near(text, 5)) {
      const piece = this.#pieces.get(id);
      if (piece !== undefined && among(piece) && (piece.text === text || jaccard(own, this.#wordsOf(piece)) >= SAME)) return piece;
    }
    return undefined;
  }

  #wordsOf(piece: Piece): ReadonlySet<string> {
    let known = this.#words.get(piece);
    if (known === undefined) this.#words.set(piece, (known = words(piece.text)));
    return known;
  }

  /** What earlier events showed of a file that has changed since counts little. */
  #ageFile(path: string | undefined): void {
    if (path === undefined) return;
    for (const piece of this.#pieces.values()) {
      if (piece.path !== path || piece.pinned) continue;
      piece.importance = STALE;
      this.#index.update(piece.id, { importance: STALE });
    }
  }

  #followBranch(): void {
    const counting = this.#branches.counting();
    const leaving = [...this.#pieces.values()].filter((piece) => piece.seq > 0 && !counting.has(piece.seq));
    for (const piece of leaving) this.#left.set(piece.id, piece);
    const back = [...this.#left.values()].filter((piece) => counting.has(piece.seq));
    this.#drop(leaving.map((piece) => piece.id));
    for (const piece of back) this.#left.delete(piece.id);
    this.#keep(back);
  }

  #drop(ids: readonly string[], options: { keepContext?: boolean } = {}): number {
    let dropped = 0;
    for (const id of ids) {
      this.#bytes -= this.#pieces.get(id)?.text.length ?? 0;
      if (this.#pieces.delete(id)) dropped += 1;
    }
    // Words are gone when this returns; what fails of the vectors finds nothing any more, for the pieces are gone.
    if (dropped > 0) this.#index.remove(ids, options).catch(() => undefined);
    return dropped;
  }

  #used(id: string): void {
    const piece = this.#pieces.get(id);
    if (piece === undefined) return;
    piece.uses = (piece.uses ?? 0) + 1;
    this.#index.update(id, { uses: piece.uses });
  }

  async #ask(
    source: KnowledgeSource,
    query: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<{ items: Recollection[]; failure?: string }> {
    const late = AbortSignal.timeout(this.#options.sourceTimeoutMs ?? 500);
    const either = signal === undefined ? late : AbortSignal.any([signal, late]);
    const gone = Promise.withResolvers<never>();
    const stop = (): void => gone.reject(new GuildError("unavailable", "it does not answer"));
    either.addEventListener("abort", stop, { once: true });
    try {
      return { items: await Promise.race([source.search(query, limit, either), gone.promise]) };
    } catch (error) {
      return { items: [], failure: `${source.name}: ${GuildError.from(error).line}` };
    } finally {
      either.removeEventListener("abort", stop);
    }
  }
}

function recollection(piece: Piece): Omit<Recollection, "score"> {
  const text = piece.title === undefined ? piece.text : `${piece.title}: ${piece.text}`;
  return { id: piece.id, text, source: piece.source, ...(piece.at === undefined ? {} : { at: piece.at }) };
}

/** Each list's best counts as 1: scores of different sources say nothing beside each other. */
function merge(...lists: ReadonlyArray<readonly Recollection[]>): Recollection[] {
  return lists
    .flatMap((list) => {
      const high = Math.max(...list.map((one) => one.score), Number.MIN_VALUE);
      return list.map((one) => ({ ...one, score: one.score / high }));
    })
    .toSorted((x, y) => y.score - x.score || (x.id < y.id ? -1 : 1));
}

function words(text: string): Set<string> {
  return new Set(tokenize(text));
}

import { oneLetterApart } from "./one-letter-apart.ts";
import { Postings } from "./postings.ts";
import { Top } from "./top.ts";

/** Terms among which a misspelt one is looked for: it costs a look at each, and more terms hold the misspelling as well. */
const MOST_SPELLED = 100_000;

/** A found document and its score; higher is better. */
export interface Hit {
  id: string;
  score: number;
}

export interface Bm25Options {
  /** Saturation of term frequency. */
  k1?: number;
  /** How much length counts, 0 to 1. */
  b?: number;
  /** Power of the inverse document frequency: below 1 a rare word counts less, so that those which match several words of a question win. Default 1. */
  rarity?: number;
}

/** A field's tokens and what one of them counts beside one of the body's. */
export interface WeightedTokens {
  tokens: readonly string[];
  weight: number;
}

/** A word of a query, first, and what may stand for it, each with what it counts, 0 to 1. */
export type QueryTerm = ReadonlyMap<string, number>;

/**
 * Inverted index in memory with BM25F scoring (Robertson & Zaragoza 2009: weighted term frequencies over fields, then one
 * saturation). Documents come and go; idf and mean length are of what is there now. A search costs the postings of its terms.
 */
export class Bm25Index {
  readonly #k1: number;
  readonly #b: number;
  readonly #rarity: number;
  readonly #ordinals = new Map<string, number>();
  #ids: Array<string | undefined> = [];
  #lengths: number[] = [];
  #terms: string[][] = [];
  readonly #postings = new Map<string, Postings>();
  #total = 0;
  /** Scores by ordinal; all zero between searches. */
  #scores = new Float64Array(1_024);
  #ofTerm = new Float64Array(1_024);

  constructor(options: Bm25Options = {}) {
    this.#k1 = options.k1 ?? 1.2;
    this.#b = options.b ?? 0.75;
    this.#rarity = options.rarity ?? 1;
  }

  get size(): number {
    return this.#ordinals.size;
  }

  has(id: string): boolean {
    return this.#ordinals.has(id);
  }

  /** Replaces a document of the same id. */
  add(id: string, fields: readonly WeightedTokens[]): void {
    this.remove(id);
    const { frequencies, length } = counted(fields);
    const ordinal = this.#ids.push(id) - 1;
    this.#lengths[ordinal] = length;
    this.#total += length;
    for (const [term, frequency] of frequencies) {
      let postings = this.#postings.get(term);
      if (postings === undefined) this.#postings.set(term, (postings = new Postings()));
      postings.push(ordinal, frequency);
    }
    this.#ordinals.set(id, ordinal);
    this.#terms[ordinal] = [...frequencies.keys()];
  }

  /** Adds to a document what it says besides; false when it is not there. */
  extend(id: string, fields: readonly WeightedTokens[]): boolean {
    const ordinal = this.#ordinals.get(id);
    if (ordinal === undefined) return false;
    const { frequencies, length } = counted(fields);
    this.#lengths[ordinal] = (this.#lengths[ordinal] ?? 0) + length;
    this.#total += length;
    for (const [term, frequency] of frequencies) {
      let postings = this.#postings.get(term);
      if (postings === undefined) this.#postings.set(term, (postings = new Postings()));
      if (postings.raise(ordinal, frequency)) this.#terms[ordinal]?.push(term);
    }
    return true;
  }

  remove(id: string): boolean {
    const ordinal = this.#ordinals.get(id);
    if (ordinal === undefined) return false;
    this.#ordinals.delete(id);
    this.#ids[ordinal] = undefined;
    this.#total -= this.#lengths[ordinal] ?? 0;
    for (const term of this.#terms[ordinal] ?? []) {
      const postings = this.#postings.get(term);
      if (postings === undefined) continue;
      postings.live -= 1;
      if (postings.live === 0) this.#postings.delete(term);
    }
    this.#terms[ordinal] = [];
    if (this.#ids.length > 256 && this.#ids.length > this.#ordinals.size * 2) this.#compact();
    return true;
  }

  /** The best `limit` documents that `accept` lets through, best first; equal scores in order of id. */
  search(query: ReadonlyArray<string | QueryTerm>, limit: number, accept?: (id: string) => boolean): Hit[] {
    if (this.#scores.length < this.#ids.length) {
      this.#scores = new Float64Array(this.#ids.length * 2);
      this.#ofTerm = new Float64Array(this.#ids.length * 2);
    }
    const touched: number[] = [];
    for (const { term, times } of distinct(query)) this.#score(term, times, touched);
    const top = new Top<Hit>(limit, (x, y) => y.score - x.score || (x.id < y.id ? -1 : 1));
    for (const ordinal of touched) {
      const score = this.#scores[ordinal] ?? 0;
      // Most are not among the best whatever the filter says, which costs more than all the rest.
      if (score < (top.last?.score ?? 0)) continue;
      const id = this.#ids[ordinal];
      if (id !== undefined && (accept === undefined || accept(id))) top.offer({ id, score });
    }
    for (const ordinal of touched) this.#scores[ordinal] = 0;
    return top.sorted();
  }

  /**
   * The term that is meant by one that no document has: the commonest that differs in one letter (left out, put in, another, or two exchanged) and begins
   * with the same; the given one where there is none, or where it has few letters or a figure.
   */
  spelled(term: string): string {
    if (this.#postings.has(term) || this.#postings.size > MOST_SPELLED || !/^\p{L}{5,}$/u.test(term)) return term;
    let meant = term;
    let most = 1;
    for (const [other, { live }] of this.#postings) if (live > most && oneLetterApart(term, other)) [meant, most] = [other, live];
    return meant;
  }

  /** Adds one word's part; of what may stand for it the best counts, so that synonyms side by side do not add up. */
  #score(term: QueryTerm, times: number, touched: number[]): void {
    const single = term.size === 1;
    const scores = this.#scores;
    const into = single ? scores : this.#ofTerm;
    const seen: number[] = single ? touched : [];
    const size = this.#ordinals.size;
    const mean = this.#total / Math.max(1, size);
    const rarity = ({ live }: Postings): number => Math.log(1 + (size - live + 0.5) / (live + 0.5)) ** this.#rarity;
    const [asked = ""] = term.keys();
    const itself = this.#postings.get(asked);
    for (const [alternative, counts] of term) {
      const postings = this.#postings.get(alternative);
      if (postings === undefined) continue;
      // What stands for a common word is not worth its own rarity alone: it is the common word that was asked for.
      const idf = itself === undefined ? rarity(postings) : (rarity(postings) + rarity(itself)) / 2;
      const weight = idf * (this.#k1 + 1) * times * counts;
      const { ordinals, frequencies } = postings;
      for (let at = 0; at < postings.length; at += 1) {
        const ordinal = ordinals[at] ?? 0;
        const frequency = frequencies[at] ?? 0;
        const norm = this.#k1 * (1 - this.#b + (this.#b * (this.#lengths[ordinal] ?? 0)) / mean);
        const part = (weight * frequency) / (frequency + norm);
        const before = into[ordinal] ?? 0;
        if (before === 0) seen.push(ordinal);
        if (single) into[ordinal] = before + part;
        else if (part > before) into[ordinal] = part;
      }
    }
    if (single) return;
    for (const ordinal of seen) {
      if (scores[ordinal] === 0) touched.push(ordinal);
      scores[ordinal] = (scores[ordinal] ?? 0) + (into[ordinal] ?? 0);
      into[ordinal] = 0;
    }
  }

  /** Numbers the documents anew, without the gaps that removals left. */
  #compact(): void {
    const renumbered = new Int32Array(this.#ids.length).fill(-1);
    const kept = [...this.#ids.keys()].filter((ordinal) => this.#ids[ordinal] !== undefined);
    for (const [to, from] of kept.entries()) renumbered[from] = to;
    this.#ids = kept.map((from) => this.#ids[from]);
    this.#lengths = kept.map((from) => this.#lengths[from] ?? 0);
    this.#terms = kept.map((from) => this.#terms[from] ?? []);
    for (const [ordinal, id] of this.#ids.entries()) if (id !== undefined) this.#ordinals.set(id, ordinal);
    for (const postings of this.#postings.values()) postings.renumber(renumbered);
  }
}

function counted(fields: readonly WeightedTokens[]): { frequencies: Map<string, number>; length: number } {
  const frequencies = new Map<string, number>();
  let length = 0;
  for (const { tokens, weight } of fields) {
    length += tokens.length * weight;
    for (const token of tokens) frequencies.set(token, (frequencies.get(token) ?? 0) + weight);
  }
  return { frequencies, length };
}

/** The words of a query once each, with how often they stand there. */
function distinct(query: ReadonlyArray<string | QueryTerm>): Iterable<{ term: QueryTerm; times: number }> {
  const words = new Map<string, { term: QueryTerm; times: number }>();
  for (const one of query) {
    const term = typeof one === "string" ? new Map([[one, 1]]) : one;
    const [key = ""] = term.keys();
    const known = words.get(key);
    if (known === undefined) words.set(key, { term, times: 1 });
    else known.times += 1;
  }
  return words.values();
}

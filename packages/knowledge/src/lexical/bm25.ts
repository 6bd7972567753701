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
}

/** A field's tokens and what one of them counts beside one of the body's. */
export interface WeightedTokens {
  tokens: readonly string[];
  weight: number;
}

interface Document {
  ordinal: number;
  length: number;
  terms: string[];
}

/**
 * Inverted index in memory with BM25F scoring (Robertson & Zaragoza 2009: weighted term frequencies over fields, then one
 * saturation). Documents come and go; idf and mean length are of what is there now. A search costs the postings of its terms.
 */
export class Bm25Index {
  readonly #k1: number;
  readonly #b: number;
  readonly #documents = new Map<string, Document>();
  readonly #ids: Array<string | undefined> = [];
  readonly #lengths: number[] = [];
  readonly #free: number[] = [];
  readonly #postings = new Map<string, Map<number, number>>();
  #total = 0;

  constructor(options: Bm25Options = {}) {
    this.#k1 = options.k1 ?? 1.2;
    this.#b = options.b ?? 0.75;
  }

  get size(): number {
    return this.#documents.size;
  }

  /** Replaces a document of the same id. */
  add(id: string, fields: readonly WeightedTokens[]): void {
    this.remove(id);
    const frequencies = new Map<string, number>();
    let length = 0;
    for (const { tokens, weight } of fields) {
      length += tokens.length * weight;
      for (const token of tokens) frequencies.set(token, (frequencies.get(token) ?? 0) + weight);
    }
    const ordinal = this.#free.pop() ?? this.#ids.length;
    this.#ids[ordinal] = id;
    this.#lengths[ordinal] = length;
    this.#total += length;
    for (const [term, frequency] of frequencies) {
      let postings = this.#postings.get(term);
      if (postings === undefined) this.#postings.set(term, (postings = new Map<number, number>()));
      postings.set(ordinal, frequency);
    }
    this.#documents.set(id, { ordinal, length, terms: [...frequencies.keys()] });
  }

  remove(id: string): boolean {
    const document = this.#documents.get(id);
    if (document === undefined) return false;
    for (const term of document.terms) {
      const postings = this.#postings.get(term);
      postings?.delete(document.ordinal);
      if (postings?.size === 0) this.#postings.delete(term);
    }
    this.#documents.delete(id);
    this.#ids[document.ordinal] = undefined;
    this.#free.push(document.ordinal);
    this.#total -= document.length;
    return true;
  }

  /** The best `limit` documents that `accept` lets through, best first; equal scores in order of id. */
  search(query: readonly string[], limit: number, accept?: (id: string) => boolean): Hit[] {
    const scores = new Map<number, number>();
    const mean = this.#total / Math.max(1, this.#documents.size);
    const counts = new Map<string, number>();
    for (const term of query) counts.set(term, (counts.get(term) ?? 0) + 1);
    for (const [term, inQuery] of counts) {
      const postings = this.#postings.get(term);
      if (postings === undefined) continue;
      const idf = Math.log(1 + (this.#documents.size - postings.size + 0.5) / (postings.size + 0.5));
      const weight = idf * (this.#k1 + 1) * inQuery;
      for (const [ordinal, frequency] of postings) {
        const norm = this.#k1 * (1 - this.#b + (this.#b * (this.#lengths[ordinal] ?? 0)) / mean);
        scores.set(ordinal, (scores.get(ordinal) ?? 0) + (weight * frequency) / (frequency + norm));
      }
    }
    const hits: Hit[] = [];
    for (const [ordinal, score] of scores) {
      const id = this.#ids[ordinal];
      if (id !== undefined && (accept === undefined || accept(id))) hits.push({ id, score });
    }
    hits.sort((x, y) => y.score - x.score || (x.id < y.id ? -1 : 1));
    return hits.slice(0, limit);
  }
}

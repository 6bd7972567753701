/** What is kept of a set of words; `look` is the search that came by last, and it is dropped when it is told so. */
export interface WordSet {
  /** `wordHashes`: each once, ascending. */
  readonly words: readonly number[];
  look: number;
  dropped: boolean;
}

/** Lists that grow one by one. */
const SHORT = 8;

/** Sets with fewer words in common, of all that they have, are not near. */
export const LEAST_SHARE = 0.6;

/**
 * Finds the sets of words that share 0.6 of all their words with another (Jaccard), exactly: two such sets have one word in common among the few that are rarest of each (prefix
 * filtering, Chaudhuri, Ganti & Kaushik 2006). What is rare is counted anew when there are twice as many sets; which sets are near does not depend on it. MinHash
 * would miss five of a hundred at the bound, and looks at more where some words are in most sets.
 */
export class NearWords<T extends WordSet> {
  #all: T[] = [];
  /** By each of its rarest words. */
  #sets = new Map<number, T[]>();
  /** How often a word stood in all when that was counted last; those of one set are left out. */
  #often = new Map<number, number>();
  #counted = 256;
  #dropped = 0;
  #looks = 0;

  add(set: T): void {
    this.#all.push(set);
    if (this.#all.length >= this.#counted * 2) this.#renew();
    else this.#place(set);
  }

  drop(set: T): void {
    set.dropped = true;
    this.#dropped += 1;
    if (this.#dropped > 256 && this.#dropped * 2 > this.#all.length) this.#renew();
  }

  /** Those that are near, each once; one without words is near to none. */
  near(words: readonly number[]): T[] {
    const found: T[] = [];
    this.#looks += 1;
    for (const word of this.#rarest(words)) {
      for (const set of this.#sets.get(word) ?? []) {
        if (set.dropped || set.look === this.#looks) continue;
        set.look = this.#looks;
        if (areNear(words, set.words)) found.push(set);
      }
    }
    return found;
  }

  #place(set: T): void {
    for (const word of this.#rarest(set.words)) {
      const there = this.#sets.get(word);
      // Short lists without room to grow: there are some for each set.
      if (there === undefined || there.length < SHORT) this.#sets.set(word, there === undefined ? [set] : [...there, set]);
      else there.push(set);
    }
  }

  /** One more than may be missing in a set that is near. */
  #rarest(words: readonly number[]): number[] {
    const often = (word: number): number => this.#often.get(word) ?? 1;
    return words.toSorted((x, y) => often(x) - often(y) || x - y).slice(0, words.length - Math.ceil(words.length * LEAST_SHARE - 1e-9) + 1);
  }

  #renew(): void {
    this.#all = this.#all.filter((set) => !set.dropped);
    this.#counted = Math.max(256, this.#all.length);
    this.#dropped = 0;
    const often = new Map<number, number>();
    for (const { words } of this.#all) for (const word of words) often.set(word, (often.get(word) ?? 0) + 1);
    this.#often = new Map([...often].filter(([, count]) => count > 1));
    this.#sets = new Map();
    for (const set of this.#all) this.#place(set);
  }
}

/** A set's words as numbers in order: what can be compared at once and takes little room. */
export function wordHashes(words: ReadonlySet<string>): number[] {
  return [...new Set(Array.from(words, hashOf))].toSorted((x, y) => x - y);
}

/** They share 0.6 of all their words. */
export function areNear(x: readonly number[], y: readonly number[]): boolean {
  if (x.length === 0 || y.length === 0) return x.length === y.length;
  const least = Math.ceil(((x.length + y.length) * LEAST_SHARE) / (1 + LEAST_SHARE) - 1e-9);
  if (Math.min(x.length, y.length) < least) return false;
  let common = 0;
  for (let [at, other] = [0, 0]; at < x.length && other < y.length;) {
    if (common + Math.min(x.length - at, y.length - other) < least) return false;
    const [left = 0, right = 0] = [x[at], y[other]];
    if (left === right) common += 1;
    if (left <= right) at += 1;
    if (right <= left) other += 1;
  }
  return common >= least;
}

/** 30 bits, so that an engine keeps it as a small integer. */
function hashOf(word: string): number {
  let hash = 2_166_136_261;
  for (let at = 0; at < word.length; at += 1) hash = Math.imul(hash ^ word.charCodeAt(at), 16_777_619);
  return (hash ^ (hash >>> 30)) & 0x3fff_ffff;
}

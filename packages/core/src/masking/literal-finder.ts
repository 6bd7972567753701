/**
 * Finds literals in texts: at the first place at which one begins, the longest. Passes over most of a text without looking at each
 * character (Wu and Manber, “A fast algorithm for multi-pattern searching”, 1994, with blocks of two characters).
 */
export class LiteralFinder {
  /** Of the longest literal, characters; 0: there is none. */
  readonly longest: number;
  /** Characters of each literal that the search looks at first: as many as the shortest has, up to a limit. */
  readonly #window: number;
  /** By the last two characters of a window: how far the window may go on. */
  readonly #shifts: Uint8Array;
  /** By the same: literals that may begin there, the longest first. */
  readonly #ends = new Map<number, string[]>();
  /** By their first two characters; for what is cut off at a text's end. */
  readonly #starts = new Map<number, string[]>();
  readonly #firsts = new Set<number>();

  /** `literals`: of two characters or more. */
  constructor(literals: Iterable<string>) {
    const all = [...new Set(literals)].toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1));
    this.longest = all[0]?.length ?? 0;
    const window = Math.min(all.at(-1)?.length ?? 2, WIDEST);
    this.#window = window;
    this.#shifts = new Uint8Array(all.length === 0 ? 0 : BLOCKS).fill(window - 1);
    for (const literal of all) {
      for (let at = 1; at < window; at += 1) {
        const block = blockOf(literal.charCodeAt(at - 1), literal.charCodeAt(at));
        const shift = window - 1 - at;
        if (shift < (this.#shifts[block] ?? 0)) this.#shifts[block] = shift;
      }
      push(this.#ends, blockOf(literal.charCodeAt(window - 2), literal.charCodeAt(window - 1)), literal);
      push(this.#starts, blockOf(literal.charCodeAt(0), literal.charCodeAt(1)), literal);
      this.#firsts.add(literal.charCodeAt(0));
    }
  }

  /** The first literal at `from` or later; undefined: there is none. */
  next(text: string, from: number): { start: number; literal: string } | undefined {
    if (this.longest === 0) return undefined;
    const window = this.#window;
    const shifts = this.#shifts;
    for (let at = from + window - 1; at < text.length;) {
      const block = blockOf(text.charCodeAt(at - 1), text.charCodeAt(at));
      const shift = shifts[block] ?? 0;
      if (shift > 0) {
        at += shift;
        continue;
      }
      const start = at - window + 1;
      for (const literal of this.#ends.get(block) ?? []) if (text.startsWith(literal, start)) return { start, literal };
      at += 1;
    }
    return undefined;
  }

  /** The first place at `from` or later at which the text's end may be the beginning of a literal, but not all of it; the length: none. */
  unfinished(text: string, from: number): number {
    const { length } = text;
    for (let at = Math.max(from, length - this.longest + 1); at < length - 1; at += 1) {
      const literals = this.#starts.get(blockOf(text.charCodeAt(at), text.charCodeAt(at + 1)));
      if (literals?.some((literal) => beginsWithRest(literal, text, at)) === true) return at;
    }
    if (length > from && this.longest > 1 && this.#firsts.has(text.charCodeAt(length - 1))) return length - 1;
    return length;
  }
}

/** Wider windows skip further, and gain no more. */
const WIDEST = 16;
const BLOCKS = 1 << 14;

/** Exact for ASCII; others share places, which costs time and nothing else. */
function blockOf(first: number, second: number): number {
  return ((first & 0x7f) << 7) | (second & 0x7f);
}

function beginsWithRest(literal: string, text: string, at: number): boolean {
  const rest = text.length - at;
  return literal.length > rest && text.startsWith(literal.slice(0, rest), at);
}

function push(map: Map<number, string[]>, key: number, literal: string): void {
  const same = map.get(key);
  if (same === undefined) map.set(key, [literal]);
  else same.push(literal);
}

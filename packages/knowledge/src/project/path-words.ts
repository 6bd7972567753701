import { identifierParts } from "../lexical/tokenize.ts";

/** Which paths have rare words in common. */
export class PathWords {
  readonly #words = new Map<string, readonly string[]>();
  readonly #paths = new Map<string, Set<string>>();

  add(path: string): void {
    if (this.#words.has(path)) return;
    const words = wordsOf(path);
    this.#words.set(path, words);
    for (const word of words) {
      const known = this.#paths.get(word);
      if (known === undefined) this.#paths.set(word, new Set([path]));
      else known.add(path);
    }
  }

  /** Cosine of the words' squared rarities, 0 to 1, of each path that has one in common; the path need not be known. */
  alike(path: string): Map<string, number> {
    const own = this.#words.get(path) ?? wordsOf(path);
    const shared = new Map<string, number>();
    for (const word of own) {
      for (const other of this.#paths.get(word) ?? []) {
        if (other !== path) shared.set(other, (shared.get(other) ?? 0) + this.#rarity(word));
      }
    }
    const length = this.#length(own);
    for (const [other, sum] of shared) shared.set(other, sum / (length * this.#length(this.#words.get(other) ?? [])));
    return shared;
  }

  #rarity(word: string): number {
    return Math.log(1 + this.#words.size / (this.#paths.get(word)?.size ?? 1)) ** 2;
  }

  #length(words: readonly string[]): number {
    return Math.sqrt(words.reduce((sum, word) => sum + this.#rarity(word), 0)) || 1;
  }
}

function wordsOf(path: string): string[] {
  const words = path
    .replace(/\.[^/]*$/, "")
    .split(/[^\p{L}\p{N}]+/u)
    .flatMap(identifierParts)
    .map((word) => word.toLowerCase().replace(/s$/, ""));
  return [...new Set(words)].filter((word) => word.length > 1);
}

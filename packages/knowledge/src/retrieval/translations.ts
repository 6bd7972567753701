import { setImmediate as nextTurn } from "node:timers/promises";

import type { Hit } from "../lexical/bm25.ts";

/** Words of documentation with what the programs below them are written in. */
interface Pair {
  says: Uint32Array;
  written: Uint32Array;
}

/** Of each word that documentation says: the names of programs it is said of, and how probably each brings it. */
interface Model {
  sources: Uint8Array;
  of: Map<number, { names: Uint32Array; probabilities: Float32Array }>;
  /** Share of each word in all that is said and written. */
  share: Float32Array;
}

/** Fewer documented functions teach nothing. */
const LEAST_PAIRS = 300;
/** More teach nothing more, and take time and room. */
const MOST_PAIRS = 10_000;
/** Names of one function. */
const MOST_NAMES = 150;
/** Learned anew when so much of the collection has changed. */
const CHANGED = 0.25;
const ITERATIONS = 3;
/** Functions that have a name, so that it tells something. */
const LEAST_OFTEN = 3;
/** Of the probability of a word, what is left to its share in the collection. */
const SMOOTHING = 0.1;
/** What the translation counts beside the words themselves. */
const COUNTS = 0.3;
/** Others get their turn after so long, milliseconds. */
const AT_ONCE_MS = 8;

/**
 * How the words of documentation and the names in the programs below it translate into each other, learned from the collection itself (IBM model 1: Brown et al. 1993), and what a
 * function would be asked by that says it otherwise (a translation language model: Berger & Lafferty 1999). `append` brings `add` and `list`, wherever the
 * collection documents it so.
 */
export class Translations {
  readonly #vocabulary = new Map<string, number>();
  readonly #pairs = new Map<string, Pair>();
  #model: Model | undefined;
  #changed = 0;
  #learning: Promise<void> | undefined;

  /** `says`: words of a function's summary. `written`: its name and its program, in words. */
  add(id: string, says: readonly string[], written: readonly string[]): void {
    this.#pairs.set(id, { says: this.#numbered(says), written: this.#numbered(written) });
    this.#changed += 1;
  }

  remove(id: string): void {
    if (this.#pairs.delete(id)) this.#changed += 1;
  }

  /** Learns, where there is enough to learn from and that has changed; others get their turn meanwhile. */
  async ready(): Promise<void> {
    if (this.#changed <= this.#pairs.size * CHANGED) return;
    this.#learning ??= this.#learn().finally(() => (this.#learning = undefined));
    await this.#learning;
  }

  /** The hits anew, best first: those go up whose programs would be asked for in such words. */
  ranked(words: readonly string[], hits: readonly Hit[]): Hit[] {
    const model = this.#model;
    const [best, last] = [hits[0], hits.at(-1)];
    if (model === undefined || best === undefined || last === undefined) return [...hits];
    const likely = this.#likelihoods(model, words, hits);
    const [high, low] = [Math.max(...likely), Math.min(...likely)];
    if (high === low) return [...hits];
    const unit = (COUNTS * (best.score - last.score)) / (high - low);
    return hits
      .map((hit, at) => ({ ...hit, score: hit.score + unit * ((likely[at] ?? low) - low) }))
      .toSorted((x, y) => y.score - x.score || (x.id < y.id ? -1 : 1));
  }

  #likelihoods({ sources, of, share }: Model, words: readonly string[], hits: readonly Hit[]): Float64Array {
    const likely = new Float64Array(hits.length);
    const written = hits.map(({ id }) => this.#pairs.get(id)?.written.filter((name) => sources[name] === 1) ?? new Uint32Array());
    const brings = new Float32Array(sources.length);
    for (const word of new Set(words)) {
      const number = this.#vocabulary.get(word) ?? Infinity;
      const known = of.get(number);
      if (known === undefined) continue;
      for (const [at, name] of known.names.entries()) brings[name] = known.probabilities[at] ?? 0;
      const background = (SMOOTHING / (1 - SMOOTHING)) * (share[number] ?? 1);
      for (const [at, names] of written.entries()) {
        let sum = 0;
        for (const name of names) sum += brings[name] ?? 0;
        likely[at] = (likely[at] ?? 0) + Math.log1p(sum / Math.max(1, names.length) / background);
      }
      for (const name of known.names) brings[name] = 0;
    }
    return likely;
  }

  #numbered(words: readonly string[]): Uint32Array {
    const numbers = new Set<number>();
    for (const word of words) {
      let number = this.#vocabulary.get(word);
      if (number === undefined) this.#vocabulary.set(word, (number = this.#vocabulary.size));
      numbers.add(number);
      if (numbers.size === MOST_NAMES) break;
    }
    return Uint32Array.from(numbers);
  }

  async #learn(): Promise<void> {
    this.#changed = 0;
    const documented = [...this.#pairs.values()].filter(({ says }) => says.length > 1);
    if (documented.length < LEAST_PAIRS) return;
    const every = Math.max(1, documented.length / MOST_PAIRS);
    const chosen = Array.from({ length: Math.floor(documented.length / every) }, (_, at) => documented[Math.floor(at * every)] as Pair);
    this.#model = await learn(chosen, this.#vocabulary.size);
  }
}

async function learn(pairs: readonly Pair[], size: number): Promise<Model> {
  const pace = pacer();
  const often = new Uint32Array(size);
  let total = 0;
  for (const { says, written } of pairs) {
    for (const word of new Set([...says, ...written])) often[word] = (often[word] ?? 0) + 1;
  }
  for (const count of often) total += count;
  const common = (words: Uint32Array): Uint32Array => words.filter((word) => (often[word] ?? 0) >= LEAST_OFTEN);
  const says = pairs.map((pair) => common(pair.says));
  const written = pairs.map((pair) => common(pair.written));
  await pace();

  /** Pairs that have a name in them, name after name. */
  const of = Array.from({ length: size }, (): number[] => []);
  for (const [at, names] of written.entries()) for (const name of names) of[name]?.push(at);
  const starts: number[] = [];
  let places = 0;
  for (const words of says) {
    starts.push(places);
    places += words.length;
  }
  // One slot for each name and word that stand in one pair; which slots are met, in the order of going through.
  const met = new Uint32Array(of.reduce((sum, all) => sum + all.reduce((some, at) => some + (says[at]?.length ?? 0), 0), 0));
  const first: number[] = [];
  const words: number[] = [];
  const slots = new Int32Array(size).fill(-1);
  let step = 0;
  for (const all of of) {
    first.push(words.length);
    const from = words.length;
    for (const at of all) {
      for (const word of says[at] ?? []) {
        if ((slots[word] ?? -1) < 0) slots[word] = words.push(word) - 1;
        met[step] = slots[word] ?? 0;
        step += 1;
      }
    }
    for (let slot = from; slot < words.length; slot += 1) slots[words[slot] ?? 0] = -1;
    await pace();
  }
  first.push(words.length);

  const chance = new Float32Array(words.length);
  for (let name = 0; name < size; name += 1) chance.fill(1 / ((first[name + 1] ?? 0) - (first[name] ?? 0)), first[name], first[name + 1]);
  const counts = new Float32Array(words.length);
  const sums = new Float32Array(places);
  for (let iteration = 0; iteration < ITERATIONS; iteration += 1) {
    sums.fill(1e-4);
    counts.fill(0);
    step = 0;
    for (const all of of) {
      for (const at of all) {
        const start = starts[at] ?? 0;
        const end = start + (says[at]?.length ?? 0);
        for (let place = start; place < end; place += 1, step += 1) sums[place] = (sums[place] ?? 0) + (chance[met[step] ?? 0] ?? 0);
      }
      await pace();
    }
    step = 0;
    for (const all of of) {
      for (const at of all) {
        const start = starts[at] ?? 0;
        const end = start + (says[at]?.length ?? 0);
        for (let place = start; place < end; place += 1, step += 1) {
          const slot = met[step] ?? 0;
          counts[slot] = (counts[slot] ?? 0) + (chance[slot] ?? 0) / (sums[place] ?? 1);
        }
      }
      await pace();
    }
    for (let name = 0; name < size; name += 1) {
      const [from = 0, to = 0] = [first[name], first[name + 1]];
      let sum = FEW;
      for (let slot = from; slot < to; slot += 1) sum += counts[slot] ?? 0;
      for (let slot = from; slot < to; slot += 1) {
        const probability = (counts[slot] ?? 0) / sum;
        chance[slot] = probability > LEAST_CHANCE ? probability : 0;
      }
    }
  }
  const sources = Uint8Array.from(of, (all) => (all.length > 0 ? 1 : 0));
  return { sources, of: byWord(words, first, chance), share: Float32Array.from(often, (count) => count / total) };
}

/** A name that was seen seldom is believed less: as if it had been seen so often with nothing. */
const FEW = 2;
const LEAST_CHANCE = 0.0005;

function byWord(words: readonly number[], first: readonly number[], chance: Float32Array): Model["of"] {
  const found = new Map<number, { names: number[]; probabilities: number[] }>();
  for (let name = 0; name + 1 < first.length; name += 1) {
    for (let slot = first[name] ?? 0; slot < (first[name + 1] ?? 0); slot += 1) {
      const probability = chance[slot] ?? 0;
      if (probability === 0) continue;
      const word = words[slot] ?? 0;
      const all = found.get(word) ?? { names: [], probabilities: [] };
      found.set(word, all);
      all.names.push(name);
      all.probabilities.push(probability);
    }
  }
  return new Map(
    Array.from(found, ([word, { names, probabilities }]) => [
      word,
      { names: Uint32Array.from(names), probabilities: Float32Array.from(probabilities) },
    ]),
  );
}

/** Lets others have their turn when some time has passed. */
function pacer(): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < AT_ONCE_MS) return undefined;
    return nextTurn().then(() => {
      since = performance.now();
    });
  };
}

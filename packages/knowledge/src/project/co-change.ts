import type { CodeGraph } from "./code-graph.ts";
import { PathWords } from "./path-words.ts";

/** Files that one commit changed, relative to the project. */
export interface Change {
  files: readonly string[];
}

export interface Companion {
  path: string;
  /** Comparable within one answer alone. */
  score: number;
}

export interface CoChangeOptions {
  /** Commits after which what they tell counts half. Default 300. */
  halfLife?: number;
  /** What the files' texts tell, where somebody has read them. */
  graph?: CodeGraph;
}

/** Commits that change more say nothing of what belongs together. */
const MOST_FILES = 40;

/**
 * Files that usually change together with others: item-kNN over the history (cosine of weighted co-occurrence, each commit's weight falling with its age and its size), with what the
 * texts and names tell for files that have little history: who imports whom, the same rare names, a test beside its subject, the same folder and words in the path. Made from commits up to a point; what came later tells nothing.
 */
export class CoChange {
  readonly #halfLife: number;
  readonly #graph: CodeGraph | undefined;
  readonly #pairs = new Map<string, Map<string, number>>();
  readonly #weight = new Map<string, number>();
  readonly #words = new PathWords();
  /** How often a file was changed lately, whatever with. */
  readonly #lately = new Map<string, number>();
  readonly #folders = new Map<string, Set<string>>();
  readonly #stems = new Map<string, Set<string>>();
  /** Grows with each commit, so that earlier ones need not be touched to age. */
  #unit = 1;
  #latelyUnit = 1;

  constructor(options: CoChangeOptions = {}) {
    this.#halfLife = options.halfLife ?? 300;
    this.#graph = options.graph;
  }

  /** The next commit, oldest first. */
  add({ files }: Change): void {
    this.#unit *= 2 ** (1 / this.#halfLife);
    this.#latelyUnit *= 2 ** (1 / LATELY);
    if (Math.max(this.#unit, this.#latelyUnit) > 1e200) this.#rescale();
    for (const path of files) this.#know(path);
    if (files.length < 1 || files.length > MOST_FILES) return;
    const weight = this.#unit / Math.log2(1 + files.length);
    for (const one of files) {
      this.#lately.set(one, (this.#lately.get(one) ?? 0) + this.#latelyUnit);
      this.#weight.set(one, (this.#weight.get(one) ?? 0) + weight);
      for (const other of files) if (one !== other) raise(this.#pairs, one, other, weight);
    }
  }

  /** The likeliest `limit` of the files that are there, best first; the given ones are not among them. */
  companions(given: readonly string[], limit: number, exists: (path: string) => boolean = () => true): Companion[] {
    const scores = new Map<string, number>();
    const known = new Set(given);
    const give = (path: string, score: number): void => {
      if (!known.has(path) && exists(path)) scores.set(path, (scores.get(path) ?? 0) + score);
    };
    for (const path of given) {
      this.#byHistory(path, give);
      this.#byNames(path, give);
      this.#byTexts(path, give);
    }
    for (const path of scores.keys()) give(path, WEIGHTS.lately * Math.log1p((this.#lately.get(path) ?? 0) / this.#latelyUnit));
    return [...scores]
      .map(([path, score]) => ({ path, score }))
      .toSorted((x, y) => y.score - x.score || (x.path < y.path ? -1 : 1))
      .slice(0, limit);
  }

  #byHistory(path: string, give: (path: string, score: number) => void): void {
    const own = this.#weight.get(path) ?? 0;
    const doubt = 0.5 * this.#unit;
    for (const [other, together] of this.#pairs.get(path) ?? []) {
      // A pair seen once tells less than its share says.
      give(other, (WEIGHTS.cosine * together) / (Math.sqrt(own * (this.#weight.get(other) ?? 0)) + doubt));
      give(other, (WEIGHTS.share * together) / (own + doubt));
    }
  }

  #byNames(path: string, give: (path: string, score: number) => void): void {
    for (const other of this.#stems.get(stemOf(path)) ?? [])
      give(other, folderOf(other) === folderOf(path) ? WEIGHTS.subject : WEIGHTS.stem);
    const beside = this.#folders.get(folderOf(path)) ?? new Set();
    for (const other of beside) give(other, WEIGHTS.folder / Math.sqrt(Math.log2(2 + beside.size)));
    for (const [other, alike] of this.#words.alike(path)) give(other, WEIGHTS.words * alike);
  }

  #byTexts(path: string, give: (path: string, score: number) => void): void {
    const graph = this.#graph;
    if (graph === undefined) return;
    // What everything imports goes together with nothing in particular.
    for (const other of graph.named(path)) give(other, WEIGHTS.named / Math.sqrt(Math.max(1, graph.namedBy(other).size)));
    for (const other of graph.namedBy(path)) give(other, WEIGHTS.namedBy / Math.sqrt(Math.max(1, graph.named(other).size)));
    for (const [other, alike] of graph.alike(path)) give(other, WEIGHTS.alike * alike);
    const around = new Set([...graph.named(path), ...graph.namedBy(path)]);
    for (const middle of around) {
      const further = new Set([...graph.named(middle), ...graph.namedBy(middle)]);
      for (const other of further) give(other, WEIGHTS.overOne / Math.log(2 + further.size) / Math.sqrt(1 + around.size));
    }
  }

  #know(path: string): void {
    this.#words.add(path);
    group(this.#folders, folderOf(path), path);
    group(this.#stems, stemOf(path), path);
  }

  #rescale(): void {
    for (const row of this.#pairs.values()) for (const [other, weight] of row) row.set(other, weight / this.#unit);
    for (const [path, weight] of this.#weight) this.#weight.set(path, weight / this.#unit);
    for (const [path, count] of this.#lately) this.#lately.set(path, count / this.#latelyUnit);
    [this.#unit, this.#latelyUnit] = [1, 1];
  }
}

/** Commits after which a change counts half for how often a file is changed lately. */
const LATELY = 60;

/** What each sign counts; fitted on the older half of this project's own history, and looked at on the newer one (docs/knowledge.md). */
const WEIGHTS = {
  cosine: 2.8,
  share: 2.7,
  lately: 1.3,
  subject: 2.5,
  stem: 0.75,
  folder: 0.9,
  words: 2.4,
  named: 0.3,
  namedBy: 0.85,
  alike: 18,
  overOne: 0.5,
};

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** `a/run-session.test.ts` → run-session. */
function stemOf(path: string): string {
  return path
    .slice(path.lastIndexOf("/") + 1)
    .replace(/\..*$/, "")
    .replace(/^test_|_test$|-test$|_spec$|Test$|Tests$/g, "");
}

function raise(map: Map<string, Map<string, number>>, one: string, other: string, weight: number): void {
  const row = map.get(one) ?? new Map<string, number>();
  map.set(one, row.set(other, (row.get(other) ?? 0) + weight));
}

function group(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, new Set([value]));
  else known.add(value);
}

/** Output of `git log --reverse --name-only --format=%x00` as changes, oldest first. */
export function parseHistory(text: string): Change[] {
  return text
    .split("\0")
    .map((block) => ({ files: [...new Set(block.split("\n").filter((line) => line !== ""))] }))
    .filter(({ files }) => files.length > 0);
}

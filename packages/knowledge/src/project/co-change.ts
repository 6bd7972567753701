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
  /** Files that import or are imported by a file, where somebody knows. */
  linked?(path: string): Iterable<string>;
}

/** Commits that change more say nothing of what belongs together. */
const MOST_FILES = 40;

/**
 * Files that usually change together with others: item-kNN over the history (cosine of weighted co-occurrence, each commit's weight falling with its age and its size), with what the
 * names tell for files that have little history: a test beside its subject, the same name elsewhere, the same folder. Made from commits up to a point; what came later tells nothing.
 */
export class CoChange {
  readonly #halfLife: number;
  readonly #linked: (path: string) => Iterable<string>;
  readonly #pairs = new Map<string, Map<string, number>>();
  readonly #weight = new Map<string, number>();
  readonly #folders = new Map<string, Set<string>>();
  readonly #stems = new Map<string, Set<string>>();
  /** Grows with each commit, so that earlier ones need not be touched to age. */
  #unit = 1;

  constructor(options: CoChangeOptions = {}) {
    this.#halfLife = options.halfLife ?? 300;
    this.#linked = options.linked ?? (() => []);
  }

  /** The next commit, oldest first. */
  add({ files }: Change): void {
    this.#unit *= 2 ** (1 / this.#halfLife);
    if (this.#unit > 1e200) this.#rescale();
    for (const path of files) this.#know(path);
    if (files.length < 1 || files.length > MOST_FILES) return;
    const weight = this.#unit / Math.log2(1 + files.length);
    for (const one of files) {
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
    const { subject, stem, folder, linked, doubt } = WEIGHTS;
    for (const path of given) {
      const own = this.#weight.get(path) ?? 0;
      for (const [other, together] of this.#pairs.get(path) ?? []) {
        // A pair seen once tells less than its cosine says.
        give(other, together / (Math.sqrt(own * (this.#weight.get(other) ?? 0)) + doubt * this.#unit));
      }
      const named = stemOf(path);
      for (const other of this.#stems.get(named) ?? []) give(other, folderOf(other) === folderOf(path) ? subject : stem);
      const beside = this.#folders.get(folderOf(path)) ?? [];
      for (const other of beside) {
        const lately = Math.min(1, (this.#weight.get(other) ?? 0) / this.#unit);
        give(other, (folder * (0.5 + lately)) / Math.sqrt(Math.log2(2 + new Set(beside).size)));
      }
      const links = [...this.#linked(path)];
      // What everything imports goes together with nothing in particular.
      for (const other of links)
        give(other, linked / Math.sqrt(links.length) + (linked * 0.5) / Math.sqrt([...this.#linked(other)].length + 1));
    }
    for (const path of scores.keys()) give(path, WEIGHTS.lately * Math.min(1, (this.#weight.get(path) ?? 0) / this.#unit));
    return [...scores]
      .map(([path, score]) => ({ path, score }))
      .toSorted((x, y) => y.score - x.score || (x.path < y.path ? -1 : 1))
      .slice(0, limit);
  }

  #know(path: string): void {
    group(this.#folders, folderOf(path), path);
    group(this.#stems, stemOf(path), path);
  }

  #rescale(): void {
    for (const row of this.#pairs.values()) for (const [other, weight] of row) row.set(other, weight / this.#unit);
    for (const [path, weight] of this.#weight) this.#weight.set(path, weight / this.#unit);
    this.#unit = 1;
  }
}

/** What names, imports and recent changes tell, beside a cosine of 0 to 1; chosen on the older half of this project's own history. */
const WEIGHTS = { subject: 0.6, stem: 0.03, folder: 0.3, linked: 0.05, lately: 0.15, doubt: 0.5 };

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

import { linesOf } from "./numbered-view.ts";

/** Places in a text that are like a wanted one that is not there, best first. */
export interface NearMatch {
  /** First line, from 1, and the lines as they are. */
  line: number;
  lines: string[];
  /** Why it is not the same. */
  difference: string;
}

/** Beyond this, looking for likenesses takes longer than it helps. */
const SEARCHED_CHARACTERS = 4_000_000;

/** At most three near matches: equal but for white space, equal without line numbers, or with lines much alike. */
export function nearMatches(text: string, wanted: string): NearMatch[] {
  if (text.length > SEARCHED_CHARACTERS) return [];
  const lines = linesOf(text);
  const sought = linesOf(wanted);
  if (sought.every((line) => line.trim() === "")) return [];
  const unnumbered = sought.map((line) => line.replace(/^\s*\d+\t/, ""));
  if (sought.every((line, index) => line !== unnumbered[index])) {
    const found = windows(lines, unnumbered, squeeze);
    if (found.length > 0) return toMatches(lines, found, sought.length, "old_str has the line numbers of the view in it");
  }
  const blank = windows(lines, sought, squeeze);
  if (blank.length > 0) return toMatches(lines, blank, sought.length, "only white space differs");
  return alike(lines, sought);
}

function windows(lines: readonly string[], sought: readonly string[], form: (line: string) => string): number[] {
  const wanted = sought.map(form);
  const forms = lines.map(form);
  const found: number[] = [];
  for (let at = 0; at + wanted.length <= forms.length && found.length < 3; at += 1) {
    if (wanted.every((line, index) => forms[at + index] === line)) found.push(at);
  }
  return found;
}

function squeeze(line: string): string {
  return line.replace(/\s+/g, "");
}

/** Windows around the lines that are most like the wanted text's longest line. */
function alike(lines: readonly string[], sought: readonly string[]): NearMatch[] {
  const anchor = sought.reduce((best, line, index) => (line.trim().length > (sought[best] ?? "").trim().length ? index : best), 0);
  const pairs = bigrams(sought[anchor] ?? "");
  const scored = lines
    .map((line, index) => ({ at: index - anchor, score: likeness(pairs, bigrams(line)) }))
    .filter(({ at, score }) => at >= 0 && score >= 0.6)
    .toSorted((a, b) => b.score - a.score || a.at - b.at)
    .slice(0, 3);
  return toMatches(
    lines,
    scored.map(({ at }) => at),
    sought.length,
    "similar",
  );
}

function toMatches(lines: readonly string[], starts: readonly number[], count: number, difference: string): NearMatch[] {
  return starts.map((start) => ({ line: start + 1, lines: lines.slice(start, start + Math.min(count, 12)), difference }));
}

function bigrams(line: string): Map<string, number> {
  const text = line.trim().slice(0, 300);
  const counts = new Map<string, number>();
  for (let at = 0; at + 1 < text.length; at += 1) {
    const pair = text.slice(at, at + 2);
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return counts;
}

/** Sørensen–Dice coefficient of two bags. */
function likeness(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let [common, total] = [0, 0];
  for (const [pair, count] of a) {
    common += Math.min(count, b.get(pair) ?? 0);
    total += count;
  }
  for (const count of b.values()) total += count;
  return total === 0 ? 0 : (2 * common) / total;
}

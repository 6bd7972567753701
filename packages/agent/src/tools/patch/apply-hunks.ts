import { GuildError } from "@guildhall/core";

import { nearMatches } from "../edit/near-match.ts";
import { numberLines } from "../edit/numbered-view.ts";
import { newlineOf } from "../edit/text-document.ts";
import type { Hunk } from "./file-patch.ts";

interface Line {
  text: string;
  /** Its line ending; empty: the file ends here. */
  end: string;
}

/** What applying hunks came to. */
export interface Applied {
  text: string;
  added: number;
  removed: number;
  /** Hunks that were not where the patch said, or differed in white space at line ends. */
  notes: string[];
}

/**
 * Applies hunks to a text in their order. Lines are compared without their endings, then without white space at their ends; lines that
 * stay keep every byte, new ones get the endings of what they stand beside. Throws `not_found` for a hunk that fits nowhere and
 * `invalid_argument` for one that fits in several places, with the lines.
 */
export function applyHunks(text: string, hunks: readonly Hunk[], shown: string): Applied {
  const file = splitLines(text);
  const newline = newlineOf(text);
  const result: Line[] = [];
  const notes: string[] = [];
  let [done, shift, added, removed] = [0, 0, 0, 0];
  for (const [index, hunk] of hunks.entries()) {
    const name = hunks.length === 1 ? "the hunk" : `hunk ${index + 1}`;
    const old = hunk.lines.filter(({ kind }) => kind !== "+").map((line) => line.text);
    const place = findPlace(file, old, hunk, {
      from: done,
      expected: hunk.line === undefined ? undefined : hunk.line - 1 + shift,
      shown,
      name,
    });
    if (place.loose) notes.push(`${name} of ${shown} was matched without white space at line ends`);
    if (hunk.line !== undefined && place.at !== hunk.line - 1) {
      notes.push(`${name} of ${shown} was applied at line ${place.at + 1}, not ${hunk.line}`);
      shift = place.at - (hunk.line - 1);
    }
    result.push(...file.slice(done, place.at));
    let at = place.at;
    let end = file.slice(at, at + old.length).find((line) => line.end !== "")?.end ?? newline;
    for (const { kind, text: lineText } of hunk.lines) {
      if (kind === "+") {
        result.push({ text: lineText, end });
        added += 1;
        continue;
      }
      const present = file[at];
      if (kind === " " && present !== undefined) result.push(present);
      if (kind === "-") removed += 1;
      // What is put in next gets the ending of what it replaces or follows.
      if (present !== undefined && present.end !== "") end = present.end;
      at += 1;
    }
    done = at;
    if (at === file.length) finishEnd(result, hunk, file.at(-1)?.end === "", end);
  }
  result.push(...file.slice(done));
  return {
    text: terminated(result, newline)
      .map((line) => line.text + line.end)
      .join(""),
    added,
    removed,
    notes,
  };
}

/** The file's end was part of the hunk: whether a newline stands there is the patch's word, or stays as it was. */
function finishEnd(result: Line[], hunk: Hunk, wasUnterminated: boolean, end: string): void {
  const last = result.pop();
  if (last === undefined) return;
  const unterminated = hunk.newUnterminated || (wasUnterminated && !hunk.oldUnterminated);
  result.push({ text: last.text, end: unterminated ? "" : last.end === "" ? end : last.end });
}

/** Only the last line may lack its ending. */
function terminated(lines: Line[], newline: string): Line[] {
  return lines.map((line, index) => (line.end === "" && index < lines.length - 1 ? { text: line.text, end: newline } : line));
}

interface Search {
  /** Lines before it are taken. */
  from: number;
  /** Where the patch expects it. */
  expected: number | undefined;
  shown: string;
  name: string;
}

function findPlace(file: readonly Line[], old: readonly string[], hunk: Hunk, search: Search): { at: number; loose: boolean } {
  const from = afterAnchors(file, hunk, search);
  if (old.length === 0) {
    const at = hunk.atEnd ? file.length : hunk.anchors.length > 0 ? from : (search.expected ?? (file.length === 0 ? 0 : undefined));
    if (at !== undefined && at >= search.from && at <= file.length) return { at, loose: false };
    throw new GuildError("invalid_argument", `${search.name} for ${search.shown} only adds lines and does not say where`, {
      remedy: "add lines around it, or an @@ anchor",
    });
  }
  for (const loose of [false, true]) {
    const places = placesOf(file, old, from, loose).filter((at) => !hunk.atEnd || at + old.length === file.length);
    const [first, second] = places;
    if (first === undefined) continue;
    const { expected } = search;
    if (expected !== undefined) {
      return { at: places.toSorted((a, b) => Math.abs(a - expected) - Math.abs(b - expected))[0] ?? first, loose };
    }
    if (second === undefined || hunk.anchors.length > 0) return { at: first, loose };
    const lines = places.slice(0, 10).map((at) => at + 1);
    throw new GuildError(
      "invalid_argument",
      `the lines of ${search.name} occur ${places.length} times in ${search.shown} (lines ${lines.join(", ")})`,
      {
        remedy: "add lines around them, or an @@ anchor",
      },
    );
  }
  throw new GuildError("not_found", `${search.name} does not fit ${search.shown}.${nearest(file, old, search.from)}`);
}

function afterAnchors(file: readonly Line[], hunk: Hunk, search: Search): number {
  let at = search.from;
  for (const anchor of hunk.anchors) {
    const forms: Array<(line: string) => boolean> = [
      (line) => line === anchor,
      (line) => line.trim() === anchor.trim(),
      (line) => line.trim().startsWith(anchor.trim()),
    ];
    const found = forms.map((fits) => file.findIndex((line, index) => index >= at && fits(line.text))).find((index) => index >= 0);
    if (found === undefined)
      throw new GuildError("not_found", `there is no line ${JSON.stringify(anchor)} in ${search.shown} for ${search.name}`);
    at = found + 1;
  }
  return at;
}

function placesOf(file: readonly Line[], old: readonly string[], from: number, loose: boolean): number[] {
  const same = loose ? (a: string, b: string) => a.trimEnd() === b.trimEnd() : (a: string, b: string) => a === b;
  const places: number[] = [];
  for (let at = from; at + old.length <= file.length; at += 1) {
    if (old.every((line, index) => same(file[at + index]?.text ?? "", line))) places.push(at);
  }
  return places;
}

function nearest(file: readonly Line[], old: readonly string[], from: number): string {
  const text = file.map((line) => line.text).join("\n");
  if (from > 0 && placesOf(file, old, 0, true).length > 0) return " It stands before an earlier hunk: order hunks as the file has them.";
  const near = nearMatches(text, old.join("\n")).slice(0, 1);
  const places = near.map(({ line, lines, difference }) => `${difference}, from line ${line}:\n${numberLines(lines, line, 1_500).text}`);
  return places.length === 0 ? " View the file to see what it holds." : ` Nearest:\n${places.join("\n")}`;
}

function splitLines(text: string): Line[] {
  const ending = newlineOf(text) === "\r" ? /\r/g : /\r?\n/g;
  const lines: Line[] = [];
  let start = 0;
  for (const match of text.matchAll(ending)) {
    lines.push({ text: text.slice(start, match.index), end: match[0] });
    start = match.index + match[0].length;
  }
  if (start < text.length) lines.push({ text: text.slice(start), end: "" });
  return lines;
}

import { newlineOf } from "./text-document.ts";

/** Part of a text: from `start` up to and without `end`. */
export interface Span {
  start: number;
  end: number;
}

/** More places than anybody wants to read about. */
const MANY = 1000;

/**
 * Every place where `wanted` occurs, overlapping ones included, at most 1,000. Line endings do not matter: LF in `wanted` finds CRLF in
 * the text and the other way round.
 */
export function findAll(text: string, wanted: string): Span[] {
  if (wanted === "") return [];
  const plain = text.replaceAll("\r\n", "\n");
  const needle = wanted.replaceAll("\r\n", "\n");
  const pairs = plain.length === text.length ? [] : pairPositions(text);
  const spans: Span[] = [];
  for (let at = plain.indexOf(needle); at >= 0 && spans.length < MANY; at = plain.indexOf(needle, at + 1)) {
    spans.push({ start: at + countBelow(pairs, at), end: at + needle.length + countBelow(pairs, at + needle.length) });
  }
  return spans;
}

/**
 * `text` with `span` replaced. New lines get the line endings of what they replace, or else of the file, unless the caller wrote
 * carriage returns into `wanted` and so speaks of them himself.
 */
export function replaceSpan(text: string, span: Span, wanted: string, replacement: string): { text: string; span: Span } {
  const inserted = wanted.includes("\r") ? replacement : withNewlines(replacement, localNewline(text, span));
  return {
    text: text.slice(0, span.start) + inserted + text.slice(span.end),
    span: { start: span.start, end: span.start + inserted.length },
  };
}

/**
 * `text` with `lines` as whole lines after line `after` (0: at the beginning). One newline at the end of `lines` is only its last
 * line's end. A text that ended without a newline still does.
 */
export function insertLines(text: string, after: number, lines: string): { text: string; span: Span } {
  const newline = newlineOf(text);
  const body = withNewlines(lines.replace(/\r?\n$/, ""), newline);
  const at = lineStarts(text)[after] ?? text.length;
  const unterminated = at === text.length && text !== "" && !/[\r\n]$/.test(text);
  const inserted = unterminated ? newline + body : body + newline;
  const start = unterminated ? at + newline.length : at;
  return { text: text.slice(0, at) + inserted + text.slice(at), span: { start, end: start + body.length } };
}

/** Offsets at which lines begin; one past a final newline begins no line. An empty text has none. */
export function lineStarts(text: string): number[] {
  const lone = newlineOf(text) === "\r";
  const starts: number[] = text === "" ? [] : [0];
  const mark = lone ? "\r" : "\n";
  for (let at = text.indexOf(mark); at >= 0 && at + 1 < text.length; at = text.indexOf(mark, at + 1)) starts.push(at + 1);
  return starts;
}

/** Number of the line, from 1, that holds `offset`. */
export function lineAt(starts: readonly number[], offset: number): number {
  return Math.max(1, countBelow(starts, offset + 1));
}

function withNewlines(text: string, newline: string): string {
  return newline === "\n" ? text : text.replace(/\r?\n/g, newline);
}

function localNewline(text: string, span: Span): string {
  const part = text.slice(span.start, span.end);
  return /[\r\n]/.test(part) ? newlineOf(part) : newlineOf(text);
}

/** Positions of the line feeds of CRLF pairs, in the text without their carriage returns. */
function pairPositions(text: string): number[] {
  const positions: number[] = [];
  for (let at = text.indexOf("\r\n"); at >= 0; at = text.indexOf("\r\n", at + 2)) positions.push(at - positions.length);
  return positions;
}

/** How many of the ascending numbers are below `limit`. */
function countBelow(ascending: readonly number[], limit: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Most characters of an observation, whatever tool it comes from. */
export const OUTPUT_LIMIT = 30_000;

/** `text`, or its head and tail with a line between them that says how much is missing; never longer than `limit` plus that line. */
export function boundText(text: string, limit: number = OUTPUT_LIMIT, advice = ""): string {
  if (text.length <= limit) return text;
  const head = headOf(text, Math.ceil(limit / 2));
  const tail = tailOf(text, Math.floor(limit / 2));
  return join(head, tail, text.length - head.length - tail.length, advice);
}

/** Head and tail with the line that stands for what is missing between them. */
export function join(head: string, tail: string, missing: number, advice = ""): string {
  const hint = advice === "" ? "" : `; ${advice}`;
  const before = head === "" || head.endsWith("\n") ? head : `${head}\n`;
  return `${before}[… ${missing.toLocaleString("en")} characters left out${hint} …]\n${tail}`;
}

/** At most `length` characters from the start: up to the last whole line when one ends in the last quarter; no half surrogate pair. */
export function headOf(text: string, length: number): string {
  if (text.length <= length) return text;
  const line = text.lastIndexOf("\n", length - 1) + 1;
  const end = line > length * 0.75 ? line : length;
  return text.slice(0, isLowSurrogate(text, end) ? end - 1 : end);
}

/** At most `length` characters from the end: from the first whole line when one begins in the first quarter; no half surrogate pair. */
export function tailOf(text: string, length: number): string {
  if (length <= 0) return "";
  if (text.length <= length) return text;
  const start = text.length - length;
  const line = text.indexOf("\n", start - 1) + 1;
  const from = line > 0 && line - start < length * 0.25 ? line : start;
  return text.slice(isLowSurrogate(text, from) ? from + 1 : from);
}

function isLowSurrogate(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 0xdc00 && code <= 0xdfff;
}

import { styleText } from "node:util";

/** Restrained emphasis: colours that both light and dark terminals show, and none where `color` is false. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
}

export function createStyle(color: boolean): Style {
  const make = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    color ? styleText(format, text, { validateStream: false }) : text;
  return { bold: make("bold"), dim: make("dim"), good: make("green"), bad: make("red"), warn: make("yellow") };
}

/** Text that came from elsewhere, made harmless for a terminal: no control characters but tabs and line ends. */
function printable(text: string): string {
  return text.replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
}

/** One line of at most `width` columns: white space collapsed, the rest cut with an ellipsis. */
export function oneLine(text: string, width: number): string {
  const flat = printable(text).replaceAll(/\s+/g, " ").trim();
  return flat.length <= width ? flat : `${flat.slice(0, Math.max(1, width - 1))}…`;
}

/** `850 ms`, `2.1 s`, `3 min 5 s`, `1 h 2 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `12,345`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `$0.0123`; with cents alone from ten dollars up. */
export function money(usd: number): string {
  return `$${usd.toFixed(usd < 10 ? 4 : 2)}`;
}

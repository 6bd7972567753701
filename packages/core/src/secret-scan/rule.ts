import { ALNUM, type Cursor, isIn, runBefore } from "./cursor.ts";

/** One kind of secret. */
export interface Rule {
  id: string;
  /** Nothing is looked at unless one of these is found; each of two characters or more. */
  keywords: readonly string[];
  /** True: without its context it might be something else, so that text on which work is done is left as it is. */
  likely?: boolean;
  /**
   * The secret at a keyword that was found; the cursor stands behind it. Undefined: it is none. Reads forwards a bounded way, or to where
   * the next keyword may begin, so that a scan takes time in proportion to its text.
   */
  match(cursor: Cursor, start: number, keyword: string): { start: number; end: number } | undefined;
}

/** A part of a token: a text, or characters of a set, from so many to so many. */
export type Part = string | readonly [set: number, least: number, most: number];

export interface TokenOptions {
  /** Characters that must stand before the keyword, at least and at most that many; part of what is found when `inner`. */
  before?: readonly [set: number, least: number, most: number];
  inner?: boolean;
  /** Keywords that are words, and no part of the secret. */
  context?: boolean;
}

/** Longer beginnings speak for themselves, in the middle of a word too. */
const SPEAKING = 5;
/** Fewer different characters are a placeholder: `ghp_xxxxxxxx`. */
const LEAST_DIFFERENT = 6;

/** A token that begins with one of several keywords, parted by spaces, and goes on with parts, each as long as it can be. */
export function token(id: string, keywords: string, parts: readonly Part[], options: TokenOptions = {}): Rule {
  const last = parts.at(-1);
  return {
    id,
    keywords: keywords.split("|"),
    match(cursor, start, keyword) {
      let from = options.context === true ? start + keyword.length : start;
      if (options.before !== undefined) {
        const [set, least, most] = options.before;
        const count = runBefore(cursor.text, start, set, most);
        if (count < least) return undefined;
        if (options.inner === true) from = start - count;
      } else if (keyword.length < SPEAKING && !isBoundary(cursor.text, start)) return undefined;
      const body = cursor.at;
      for (const part of parts) {
        if (typeof part === "string") {
          if (!cursor.literal(part)) return undefined;
        } else if (cursor.run(part[0], part[2]) < part[1]) return undefined;
      }
      // What is longer than it may be is something else; but where that is very long, no more of it needs to be read.
      if (last !== undefined && typeof last !== "string" && last[2] < 1000 && isIn(last[0] & ALNUM, cursor.peek())) return undefined;
      if (isPlaceholder(cursor.text.slice(Math.min(from, body), cursor.at))) return undefined;
      return { start: from, end: cursor.at };
    },
  };
}

/** Made up to be shown: few different characters, or it says so. */
export function isPlaceholder(text: string): boolean {
  return (
    text.includes("EXAMPLE") ||
    text.includes("example") ||
    text.startsWith("guildhall-secret-") ||
    new Set(text.slice(0, 200)).size < LEAST_DIFFERENT
  );
}

/** Whether a word begins here. A letter may end an escape instead: `\n`, `%3D`, `\u003d`, `ESC[0m`. */
export function isBoundary(text: string, at: number): boolean {
  if (at === 0 || !isIn(ALNUM, text.charCodeAt(at - 1))) return true;
  return /(?:(?:^|[^\\])(?:\\\\)*\\[abfnrtv]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\u001b\[[0-9;]{0,12}m)$/.test(
    text.slice(Math.max(0, at - 16), at),
  );
}

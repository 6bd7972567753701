import { randomInt } from "node:crypto";

import type { Clock, Ids } from "./ports/clock.ts";

/** Crockford's base 32: no letter that reads as a digit, and it sorts as its numbers do. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 10;

/** A source of random integers in [0, limit). */
export type RandomBelow = (limit: number) => number;

/**
 * Ids as `ses_01jqz4m8k3v7c2n5x9b1`: 50 bits of milliseconds, then 50 random bits, which within one millisecond (or when the clock is
 * set back) count up from the id before instead, so that ids of one source always sort in the order of their making.
 */
export function sortableIds(clock: Pick<Clock, "now">, below: RandomBelow = (limit) => randomInt(limit)): Ids {
  let lastTime = -1;
  let digits: number[] = [];
  return {
    next: (prefix) => {
      const now = clock.now().getTime();
      if (now > lastTime || !countUp(digits)) {
        lastTime = Math.max(now, lastTime + 1);
        digits = Array.from({ length: RANDOM_DIGITS }, () => below(ALPHABET.length));
      }
      return `${prefix}_${base32(lastTime)}${digits.map((digit) => ALPHABET[digit]).join("")}`;
    },
  };
}

/** Adds one in place; false when all digits were at their highest. */
function countUp(digits: number[]): boolean {
  for (let at = digits.length - 1; at >= 0; at--) {
    const next = (digits[at] ?? 0) + 1;
    if (next < ALPHABET.length) {
      digits[at] = next;
      return true;
    }
    digits[at] = 0;
  }
  return false;
}

function base32(value: number): string {
  let text = "";
  for (let rest = value; text.length < TIME_DIGITS; rest = Math.floor(rest / ALPHABET.length))
    text = ALPHABET[rest % ALPHABET.length] + text;
  return text;
}

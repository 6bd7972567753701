/** Sets of ASCII characters, as bits of `CLASSES`. */
export const DIGIT = 1;
const LOWER_HEX = 2;
const UPPER_HEX = 4;
export const LOWER = 8;
export const UPPER = 16;
export const UNDERSCORE = 32;
export const HYPHEN = 64;
/** `+`, `/` and `=`. */
export const BASE64 = 128;
export const DOT = 256;
export const TILDE = 512;
/** `%`. */
export const PERCENT = 1024;

export const HEX = DIGIT | LOWER_HEX;
export const ANY_HEX = HEX | UPPER_HEX;
export const CAPITAL = DIGIT | UPPER;
export const SMALL = DIGIT | LOWER;
export const ALNUM = DIGIT | LOWER | UPPER;
export const WORD = ALNUM | UNDERSCORE;
export const TOKEN = WORD | HYPHEN;
export const BASE64_TEXT = ALNUM | BASE64;

const MEMBERS: ReadonlyArray<[set: number, members: RegExp]> = [
  [DIGIT, /\d/],
  [LOWER_HEX, /[a-f]/],
  [UPPER_HEX, /[A-F]/],
  [LOWER, /[a-z]/],
  [UPPER, /[A-Z]/],
  [UNDERSCORE, /_/],
  [HYPHEN, /-/],
  [BASE64, /[+/=]/],
  [DOT, /\./],
  [TILDE, /~/],
  [PERCENT, /%/],
];
const CLASSES = Uint16Array.from({ length: 128 }, (_, code) =>
  MEMBERS.reduce((all, [set, members]) => (members.test(String.fromCharCode(code)) ? all | set : all), 0),
);

/** Whether a UTF-16 code unit is in the set. */
export function isIn(set: number, code: number): boolean {
  return code < 128 && ((CLASSES[code] ?? 0) & set) !== 0;
}

/** Reads a text forwards, once, and remembers whether its end was reached: more text might have been read otherwise. */
export class Cursor {
  readonly text: string;
  at = 0;
  ranOut = false;

  constructor(text: string) {
    this.text = text;
  }

  /** Passes over characters of a set, at most `most`; how many there were. */
  run(set: number, most: number): number {
    const { text } = this;
    const end = Math.min(text.length, this.at + most);
    const from = this.at;
    let at = from;
    while (at < end && isIn(set, text.charCodeAt(at))) at += 1;
    this.at = at;
    if (at === text.length && at - from < most) this.ranOut = true;
    return at - from;
  }

  /** Passes over exactly this; false: something else is there. */
  literal(expected: string): boolean {
    if (this.text.startsWith(expected, this.at)) {
      this.at += expected.length;
      return true;
    }
    const rest = this.text.length - this.at;
    if (rest < expected.length && this.text.startsWith(expected.slice(0, rest), this.at)) this.ranOut = true;
    return false;
  }

  /** The next code unit; −1 at the end. */
  peek(): number {
    if (this.at < this.text.length) return this.text.charCodeAt(this.at);
    this.ranOut = true;
    return -1;
  }
}

/** How many characters of a set stand before a place, at most `most`. */
export function runBefore(text: string, at: number, set: number, most: number): number {
  let count = 0;
  while (count < most && at - count > 0 && isIn(set, text.charCodeAt(at - count - 1))) count += 1;
  return count;
}

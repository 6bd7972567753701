import { ALNUM, type Cursor, DIGIT, isIn, LOWER, TOKEN, UPPER, UNDERSCORE, HYPHEN, DOT } from "./cursor.ts";
import { isPlaceholder, type Rule } from "./rule.ts";

/** Words by which values are called that nobody should see; in lower case. */
const NAMES = [
  "password",
  "passwd",
  "passphrase",
  "secret",
  "token",
  "api_key",
  "apikey",
  "api-key",
  "access_key",
  "accesskey",
  "access-key",
  "auth_key",
  "authkey",
  "private_key",
  "privatekey",
  "account_key",
  "accountkey",
  "encryption_key",
  "signing_key",
  "app_key",
  "appkey",
  "license_key",
  "service_key",
  "credential",
  "client_id_secret",
  "dsn",
];

/**
 * A value without a shape of its own, given to a name that speaks: `DB_PASSWORD=…`, `"apiKey": "…"`, `token => '…'`. Known by chance
 * alone, so by how even its characters are; made for what leaves a session, not for the text that is worked on. Sees lower case.
 */
export const ASSIGNMENT_RULE: Rule = {
  id: "assigned-value",
  keywords: NAMES,
  likely: true,
  match(cursor) {
    cursor.run(TOKEN | DOT, 24);
    quote(cursor);
    blanks(cursor);
    if (!operator(cursor)) return undefined;
    blanks(cursor);
    const quoted = quote(cursor);
    const start = cursor.at;
    for (let count = 0; count < LONGEST && isValue(cursor.peek()); count += 1) cursor.at += 1;
    const value = cursor.text.slice(start, cursor.at);
    if (quoted !== 0 && cursor.peek() !== quoted) return undefined;
    if (quoted === 0 && !isEnd(cursor.peek())) return undefined;
    return isRandom(value) && !isPlaceholder(value) ? { start, end: cursor.at } : undefined;
  },
};

const LONGEST = 256;
const SHORTEST = 12;

/** Whether a value looks drawn by chance, rather than written. */
function isRandom(value: string): boolean {
  if (value.length < SHORTEST) return false;
  const counts = new Map<number, number>();
  let [digits, lower, upper, changes, others] = [0, 0, 0, 0, 0];
  let before = -1;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    counts.set(code, (counts.get(code) ?? 0) + 1);
    const kind = isIn(DIGIT, code) ? 0 : isIn(LOWER, code) ? 1 : isIn(UPPER, code) ? 2 : 3;
    if (kind === 0) digits += 1;
    else if (kind === 1) lower += 1;
    else if (kind === 2) upper += 1;
    else if (!isIn(UNDERSCORE | HYPHEN | DOT, code)) others += 1;
    if (before !== -1 && kind !== before) changes += 1;
    before = kind;
  }
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / value.length) * Math.log2(count / value.length);
  if (lower + upper === 0 || entropy < Math.min(2.7, Math.log2(value.length) - 0.6)) return false;
  // Letters alone are words joined in whatever way, unless capitals stand anywhere among them.
  if (digits === 0) return !value.includes(".") && value.length >= 20 && changes >= value.length / 3 && entropy >= 4;
  // A digest, or a key in hexadecimal.
  if (value.length >= 32 && digits + lower + upper === value.length && digits >= 4) return true;
  // Words and dates joined by hyphens change seldom; numbers with a unit have few letters.
  // Capitals, small letters and a figure among them are how people are told to make one.
  const mixed = upper > 0 && lower > 0 && entropy >= 3 && (digits >= 2 || changes >= Math.max(4, value.length / 5));
  return changes >= value.length / 6 && (digits >= 3 || others > 0 || mixed || changes >= value.length / 3);
}

function operator(cursor: Cursor): boolean {
  return [":=", "=>", "=", ":"].some((each) => cursor.literal(each));
}

function quote(cursor: Cursor): number {
  if (cursor.peek() === 0x5c) cursor.at += 1; // within JSON
  const code = cursor.peek();
  if (code !== 0x22 && code !== 0x27 && code !== 0x60) return 0;
  cursor.at += 1;
  return code;
}

function blanks(cursor: Cursor): void {
  for (let count = 0; count < 8 && [0x20, 0x09].includes(cursor.peek()); count += 1) cursor.at += 1;
}

function isValue(code: number): boolean {
  if (isIn(ALNUM, code)) return true;
  return code > 0x20 && code < 0x7f && ![0x22, 0x27, 0x60, 0x5c, 0x3c, 0x3e, 0x28, 0x29, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x3b].includes(code);
}

function isEnd(code: number): boolean {
  return code <= 0x20 || [0x22, 0x27, 0x60, 0x2c, 0x3b, 0x7d, 0x5c].includes(code);
}

import { BASE64, BASE64_TEXT, type Cursor, DIGIT, DOT, HYPHEN, isIn, LOWER, TILDE, TOKEN, UPPER } from "./cursor.ts";
import { isBoundary, isPlaceholder, type Rule } from "./rule.ts";

/** Longest private key with its frame, characters; also the most that a stream holds back. */
export const LONGEST_BLOCK = 16 * 1024;

/** `-----BEGIN … PRIVATE KEY-----` to its end, or as far as it looks like one; line ends may be escaped. */
const privateKey: Rule = {
  id: "private-key",
  keywords: ["-----BEGIN ", "---- BEGIN SSH2 ENCRYPTED PRIVATE"],
  match(cursor, start) {
    const { text } = cursor;
    const header = text.slice(cursor.at, cursor.at + 40);
    const label = /^[A-Z0-9 ]{0,24}?PRIVATE KEY(?: BLOCK)? ?-{4,5}/.exec(header);
    if (label === null) {
      if (/^[A-Z0-9 -]*$/.test(header) && header.length < 40) cursor.ranOut = true;
      return undefined;
    }
    const body = cursor.at + label[0].length;
    cursor.at = body;
    const limit = start + LONGEST_BLOCK;
    for (let hyphens = 0; cursor.at < limit; cursor.at += 1) {
      const code = cursor.peek();
      hyphens = code === 0x2d ? hyphens + 1 : 0;
      if (hyphens === 4) break;
      if (!isKeyText(code)) break;
    }
    const end = /^-?(?:END| END)[A-Z0-9 ]{1,40}-{0,5}/.exec(text.slice(cursor.at + 1, cursor.at + 60));
    if (text.length - cursor.at < 60) cursor.ranOut = true;
    if (cursor.at - body < 40) return undefined;
    return { start, end: end === null ? cursor.at : cursor.at + 1 + end[0].length };
  },
};

function isKeyText(code: number): boolean {
  // Base64, line ends, escapes, headers such as `Proc-Type: 4,ENCRYPTED`, quotes and `+` of sources that put lines together.
  return isIn(BASE64_TEXT | HYPHEN | DOT, code) || [0x0a, 0x0d, 0x20, 0x09, 0x5c, 0x3a, 0x2c, 0x22, 0x27].includes(code);
}

const jsonWebToken: Rule = {
  id: "json-web-token",
  keywords: ["eyJ"],
  match(cursor, start) {
    if (!isBoundary(cursor.text, start)) return undefined;
    if (cursor.run(TOKEN, 2000) < 12 || !cursor.literal(".") || !cursor.literal("ey") || cursor.run(TOKEN, 8000) < 12) return undefined;
    if (!cursor.literal(".")) return undefined;
    cursor.run(TOKEN | DOT, 8000);
    return { start, end: cursor.at };
  },
};

/** The password of `scheme://user:password@host`, and nothing else of it. */
const urlPassword: Rule = {
  id: "url-password",
  keywords: ["://"],
  match(cursor) {
    if (!skipUrl(cursor, 0x3a, 100)) return undefined;
    const start = cursor.at + 1;
    cursor.at = start;
    if (!skipUrl(cursor, 0x40, 200)) return undefined;
    const password = cursor.text.slice(start, cursor.at);
    if (password.length < 8 || !hasMixture(password) || isPlaceholder(password) || /^[$<{%*[]/.test(password)) return undefined;
    return { start, end: cursor.at };
  },
};

/** Up to a delimiter, through what may stand in a URL's user or password. */
function skipUrl(cursor: Cursor, delimiter: number, most: number): boolean {
  for (const last = cursor.at + most; cursor.at <= last; cursor.at += 1) {
    const code = cursor.peek();
    if (code === delimiter) return true;
    // Letters and digits, and of the rest what needs no escape there: ! $ % & ' ( ) * + , - . ; = _ ~ # ^
    if (
      !isIn(TOKEN | DOT | TILDE, code) &&
      ![0x21, 0x23, 0x24, 0x25, 0x26, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x3b, 0x3d, 0x5e].includes(code)
    ) {
      return false;
    }
  }
  return false;
}

const bearer: Rule = {
  id: "bearer-token",
  keywords: ["Bearer ", "bearer "],
  match(cursor) {
    const start = cursor.at;
    const length = cursor.run(TOKEN | DOT | TILDE | BASE64, 4000);
    const value = cursor.text.slice(start, cursor.at);
    if (length < 20 || !hasMixture(value) || isPlaceholder(value)) return undefined;
    return { start, end: cursor.at };
  },
};

/** Letters and digits both: words, and numbers, are not secrets. */
function hasMixture(value: string): boolean {
  let digits = 0;
  let letters = 0;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (isIn(DIGIT, code)) digits += 1;
    else if (isIn(LOWER | UPPER, code)) letters += 1;
  }
  return digits > 0 && letters > 0;
}

export const SHAPED_RULES: readonly Rule[] = [privateKey, jsonWebToken, urlPassword, bearer];

import { GuildError } from "@guildhall/core";

/** Parameters of the two events of a key. */
export interface KeyStroke {
  key: string;
  code: string;
  windowsVirtualKeyCode: number;
  modifiers: number;
  text?: string;
}

const NAMED: Record<string, [code: string, number: number, text?: string]> = {
  Enter: ["Enter", 13, "\r"],
  Tab: ["Tab", 9],
  Escape: ["Escape", 27],
  Backspace: ["Backspace", 8],
  Delete: ["Delete", 46],
  Space: ["Space", 32, " "],
  ArrowUp: ["ArrowUp", 38],
  ArrowDown: ["ArrowDown", 40],
  ArrowLeft: ["ArrowLeft", 37],
  ArrowRight: ["ArrowRight", 39],
  Home: ["Home", 36],
  End: ["End", 35],
  PageUp: ["PageUp", 33],
  PageDown: ["PageDown", 34],
  Insert: ["Insert", 45],
};
const MODIFIERS: Record<string, number> = { Alt: 1, Control: 2, Ctrl: 2, Meta: 4, Shift: 8 };

/** Reads `Enter`, `a`, `Control+Shift+k`, `F5`. Throws `invalid_argument`. */
export function keyStroke(name: string): KeyStroke {
  const parts = name === "+" ? ["+"] : name.split("+");
  const key = parts.pop() ?? "";
  let modifiers = 0;
  for (const part of parts) {
    const bit = Object.hasOwn(MODIFIERS, part) ? MODIFIERS[part] : undefined;
    if (bit === undefined)
      throw new GuildError("invalid_argument", `there is no key ${JSON.stringify(part)} to hold; there are Alt, Control, Meta, Shift`);
    modifiers |= bit;
  }
  const known = Object.hasOwn(NAMED, key) ? NAMED[key] : undefined;
  if (known !== undefined) {
    const [code, number, typed] = known;
    return {
      key: key === "Space" ? " " : key,
      code,
      windowsVirtualKeyCode: number,
      modifiers,
      ...(typed === undefined ? {} : { text: typed }),
    };
  }
  const f = /^F([1-9]|1[0-2])$/.exec(key)?.[1];
  if (f !== undefined) return { key, code: key, windowsVirtualKeyCode: 111 + Number(f), modifiers };
  if (!/^.$/u.test(key)) {
    throw new GuildError(
      "invalid_argument",
      `there is no key ${JSON.stringify(name)}; give a character, F1 to F12, or one of ${Object.keys(NAMED).join(", ")}`,
    );
  }
  const upper = key.toUpperCase();
  const code = /[A-Z]/.test(upper) ? `Key${upper}` : /[0-9]/.test(key) ? `Digit${key}` : "";
  return { key, code, windowsVirtualKeyCode: upper.charCodeAt(0), modifiers, ...((modifiers & ~8) === 0 ? { text: key } : {}) };
}

/** A value read from the middle of a text. */
export interface ReadValue {
  value: unknown;
  /** Index after its last character. */
  end: number;
}

/** Deeper values mean nothing and would exhaust the stack of whoever walks them. */
const DEEPEST = 100;

/**
 * Reads the JSON value that begins at `at`, and the spellings of it whose meaning is beyond doubt: line breaks within strings, commas before a closing
 * bracket, single and triple quotes, `True`, `False`, `None`. Undefined for anything else, incomplete values above all: nothing is guessed.
 */
export function readValue(text: string, at: number): ReadValue | undefined {
  const reader = new Reader(text, at);
  const value = reader.value(0);
  return value === NOTHING ? undefined : { value, end: reader.at };
}

/** Whether a value that begins at `at` ends with the text before it is complete. */
export function isCutOff(text: string, at: number): boolean {
  const reader = new Reader(text, at);
  return reader.value(0) === NOTHING && reader.at >= text.length;
}

/** Index of the first character from `at` on that is no white space. */
export function skipSpace(text: string, at: number): number {
  let here = at;
  while (here < text.length && /\s/.test(text[here] ?? "")) here++;
  return here;
}

const NOTHING = Symbol("nothing");

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": "" };
const WORDS: Record<string, unknown> = { true: true, false: false, null: null, True: true, False: false, None: null };

class Reader {
  readonly #text: string;
  /** Index of the next character. */
  at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.at = skipSpace(text, at);
  }

  value(depth: number): unknown {
    if (depth > DEEPEST) return NOTHING;
    const next = this.#text[this.at];
    if (next === "{") return this.#object(depth);
    if (next === "[" || next === "(") return this.#list(depth, next === "[" ? "]" : ")");
    if (next === '"' || next === "'") return this.#string(next);
    const word = /^(?:true|false|null|True|False|None)\b|^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/.exec(
      this.#text.slice(this.at, this.at + 64),
    )?.[0];
    if (word === undefined) {
      // A word that the text breaks off is incomplete, not wrong.
      if (/^(?:-?|\w{1,5})$/.test(this.#text.slice(this.at, this.at + 8))) this.at = this.#text.length;
      return NOTHING;
    }
    this.at += word.length;
    return word in WORDS ? WORDS[word] : Number(word);
  }

  #object(depth: number): unknown {
    const entries: Array<[string, unknown]> = [];
    this.at++;
    for (;;) {
      if (this.#take("}")) return fromEntries(entries);
      const quote = this.#text[this.at];
      if (quote !== '"' && quote !== "'") return NOTHING;
      const key = this.#string(quote);
      if (typeof key !== "string" || !this.#take(":")) return NOTHING;
      this.#space();
      const value = this.value(depth + 1);
      if (value === NOTHING) return NOTHING;
      entries.push([key, value]);
      if (this.#take(",")) continue;
      return this.#take("}") ? fromEntries(entries) : NOTHING;
    }
  }

  #list(depth: number, close: string): unknown {
    const items: unknown[] = [];
    this.at++;
    for (;;) {
      if (this.#take(close)) return items;
      const value = this.value(depth + 1);
      if (value === NOTHING) return NOTHING;
      items.push(value);
      if (this.#take(",")) continue;
      return this.#take(close) ? items : NOTHING;
    }
  }

  #string(quote: string): unknown {
    const triple = quote.repeat(3);
    const end = this.#text.startsWith(triple, this.at) ? triple : quote;
    this.at += end.length;
    let read = "";
    for (;;) {
      const next = this.#text[this.at];
      if (next === undefined) return NOTHING;
      if (this.#text.startsWith(end, this.at)) {
        this.at += end.length;
        return read;
      }
      if (next !== "\\") {
        read += next;
        this.at++;
        continue;
      }
      const escape = this.#text[this.at + 1];
      if (escape === undefined) {
        this.at = this.#text.length;
        return NOTHING;
      }
      const digits = escape === "u" ? 4 : escape === "x" ? 2 : 0;
      if (digits > 0) {
        const code = this.#text.slice(this.at + 2, this.at + 2 + digits);
        if (this.at + 2 + digits > this.#text.length) this.at = this.#text.length;
        if (!/^[0-9a-fA-F]+$/.test(code) || code.length < digits) return NOTHING;
        read += String.fromCharCode(Number.parseInt(code, 16));
        this.at += 2 + digits;
      } else if (escape in ESCAPES) {
        read += ESCAPES[escape];
        this.at += 2;
      } else {
        // JSON knows no such escape; what was meant (`\d` in a pattern, a path) is a guess.
        return NOTHING;
      }
    }
  }

  /** Steps over white space, and over `character` when it comes next; white space after it too. */
  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.at] !== character) return false;
    this.at++;
    if (character === "," || character === ":") this.#space();
    return true;
  }

  #space(): void {
    this.at = skipSpace(this.#text, this.at);
  }
}

/** `__proto__` stays an ordinary name, as it is after JSON.parse. */
function fromEntries(entries: Array<[string, unknown]>): Record<string, unknown> {
  return Object.fromEntries(entries);
}

/**
 * One line of a `.gitignore`, as git's wildmatch reads it (gitignore(5), "PATTERN FORMAT"). Works on bytes, one a character (latin1), as git does.
 * The cost of a match is at most the product of the lengths, whatever the pattern: lines come from repositories that nobody has trusted,
 * which rules out turning them into regular expressions.
 */
export interface IgnorePattern {
  negative: boolean;
  directoryOnly: boolean;
  /** `path` relative to the directory of the ignore file; `name` its last component. */
  matches(path: string, name: string): boolean;
}

/** Undefined: a comment, a blank line, or a line that can match nothing. */
export function parseIgnorePattern(line: string): IgnorePattern | undefined {
  let text = trimSpaces(line.endsWith("\r") ? line.slice(0, -1) : line);
  if (text === "" || text.startsWith("#")) return undefined;
  const negative = text.startsWith("!");
  if (negative) text = text.slice(1);
  const directoryOnly = text.endsWith("/");
  if (directoryOnly) text = text.slice(0, -1);
  if (text === "") return undefined;
  const anchored = text.includes("/");
  if (text.startsWith("/")) text = text.slice(1);

  if (!anchored) {
    const glob = compileGlob(text);
    return glob && { negative, directoryOnly, matches: (_, name) => glob(name) };
  }
  const parts: Array<Glob | typeof ANY_DEPTH> = [];
  for (const part of components(text)) {
    const glob = /^\*\*+$/.test(part) ? ANY_DEPTH : compileGlob(part);
    if (glob === undefined) return undefined;
    parts.push(glob);
  }
  return { negative, directoryOnly, matches: (path) => matchParts(parts, path.split("/")) };
}

type Glob = (name: string) => boolean;

const ANY_DEPTH = "**";

function trimSpaces(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === " ") end--;
  if (end === line.length) return line;
  let backslashes = 0;
  while (backslashes < end && line[end - 1 - backslashes] === "\\") backslashes++;
  return line.slice(0, backslashes % 2 === 1 ? end + 1 : end);
}

/** Parts of a pattern between its slashes; one within brackets is none, an escaped one is. */
function components(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (let at = 0; at < text.length; at++) {
    let taken = text[at] ?? "";
    if (taken === "\\" && text[at + 1] === "/") continue;
    if (taken === "/") {
      parts.push(part);
      part = "";
      continue;
    }
    const end = taken === "\\" ? at + 1 : taken === "[" ? (readClass(text, at + 1)?.end ?? at) : at;
    taken = text.slice(at, end + 1);
    part += taken;
    at = end;
  }
  return [...parts, part];
}

/** `**` stands for any number of components; at the end for at least one. Going back to the last `**` is enough, as with `*`. */
function matchParts(parts: Array<Glob | typeof ANY_DEPTH>, names: string[]): boolean {
  let part = 0;
  let name = 0;
  let resumePart = -1;
  let resumeName = 0;
  while (name < names.length) {
    const wanted = parts[part];
    if (wanted === ANY_DEPTH) {
      if (part === parts.length - 1) return true;
      resumePart = ++part;
      resumeName = name;
    } else if (wanted !== undefined && wanted(names[name] ?? "")) {
      part++;
      name++;
    } else if (resumePart >= 0) {
      part = resumePart;
      name = ++resumeName;
    } else return false;
  }
  return part === parts.length;
}

/** A matcher for one path component; undefined when nothing can match it. */
function compileGlob(text: string): Glob | undefined {
  if (!/[*?[\\]/.test(text)) return (name) => name === text;
  const rest = text.slice(1);
  if (text.startsWith("*") && !/[*?[\\]/.test(rest)) return (name) => name.endsWith(rest);
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === "*") {
      if (tokens.at(-1) !== STAR) tokens.push(STAR);
    } else if (character === "?") tokens.push(ANY);
    else if (character === "\\") {
      const escaped = text[++at];
      if (escaped === undefined) return undefined;
      tokens.push(escaped);
    } else if (character === "[") {
      const read = readClass(text, at + 1);
      if (read === undefined) return undefined;
      tokens.push(read.accepts);
      at = read.end;
    } else tokens.push(character);
  }
  return (name) => matchTokens(tokens, name);
}

/** A character stands for itself. */
type Token = string | typeof STAR | typeof ANY | Uint8Array;
const STAR = Symbol("*");
const ANY = Symbol("?");

function matchTokens(tokens: Token[], name: string): boolean {
  let token = 0;
  let at = 0;
  let resumeToken = -1;
  let resumeAt = 0;
  while (at < name.length) {
    const wanted = tokens[token];
    if (wanted === STAR) {
      resumeToken = ++token;
      resumeAt = at;
    } else if (wanted !== undefined && accepts(wanted, name, at)) {
      token++;
      at++;
    } else if (resumeToken >= 0) {
      token = resumeToken;
      at = ++resumeAt;
    } else return false;
  }
  while (tokens[token] === STAR) token++;
  return token === tokens.length;
}

function accepts(token: Token, name: string, at: number): boolean {
  if (typeof token === "string") return token === name[at];
  return token === ANY || (token instanceof Uint8Array && token[name.charCodeAt(at)] === 1);
}

/** Reads a bracket expression whose first character is at `from`; `end` is the place of its closing bracket. */
function readClass(text: string, from: number): { accepts: Uint8Array; end: number } | undefined {
  const members = new Uint8Array(256);
  let at = from;
  const negated = text[at] === "!" || text[at] === "^";
  if (negated) at++;
  let previous = -1;
  for (let first = true; ; first = false) {
    let character = text[at];
    if (character === undefined) return undefined;
    if (character === "]" && !first) break;
    if (character === "[" && text[at + 1] === ":") {
      const close = text.indexOf(":]", at + 2);
      const named = close < 0 ? undefined : namedClasses[text.slice(at + 2, close)];
      if (close >= 0) {
        if (named === undefined) return undefined;
        for (let code = 0; code < 128; code++) if (named.test(String.fromCharCode(code))) members[code] = 1;
        at = close + 2;
        previous = -1;
        continue;
      }
    }
    if (character === "-" && previous >= 0 && text[at + 1] !== undefined && text[at + 1] !== "]") {
      at++;
      if (text[at] === "\\") at++;
      const last = text.charCodeAt(at);
      if (Number.isNaN(last)) return undefined;
      for (let code = previous; code <= last; code++) members[code] = 1;
      previous = -1;
      at++;
      continue;
    }
    if (character === "\\") {
      character = text[++at];
      if (character === undefined) return undefined;
    }
    previous = character.charCodeAt(0);
    members[previous] = 1;
    at++;
  }
  return { accepts: negated ? members.map((member) => 1 - member) : members, end: at };
}

const namedClasses: Record<string, RegExp> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  cntrl: /[\0-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[A-Fa-f0-9]/,
};

import type { Masker } from "../ports/safety.ts";
import { encodingsOf } from "./encodings.ts";

/** What stands in place of a secret: whole in JSON, URLs and shell words alike. */
export const MASK = "***";

/** Secrets shorter than this are not masked: they would take ordinary text away and hide nothing. */
export const SHORTEST_SECRET = 5;

/**
 * A masker for exact secrets and the forms that they take on their way: base64 (either alphabet, within a longer text too), hexadecimal,
 * URL-encoded, JSON-escaped, each line of one with several lines. Not masked: a secret that was changed in another way (encrypted,
 * compressed, spelt with spaces), and a base64 text that is broken into lines within the secret.
 *
 * A stream gives, however its text is cut into chunks, exactly what `mask` gives for the whole. It sees secrets added before its next `push`.
 */
export function createMasker(secrets: Iterable<string> = []): Masker {
  const known = new Set<string>();
  let patterns = compile([]);

  const masker: Masker = {
    add(more) {
      const before = known.size;
      for (const secret of more) {
        if (secret.length < SHORTEST_SECRET) continue;
        for (const form of encodingsOf(secret)) if (form.length >= SHORTEST_SECRET) known.add(form);
      }
      if (known.size > before) patterns = compile(known);
    },
    mask: (text) => replaceAll(text, patterns),
    stream() {
      let held = "";
      return {
        push(text) {
          if (patterns.longest === 0 && held === "") return text;
          const whole = held + text;
          const cut = safeLength(whole, patterns);
          held = whole.slice(cut);
          return replaceAll(whole.slice(0, cut), patterns);
        },
        end() {
          const rest = held;
          held = "";
          return replaceAll(rest, patterns);
        },
      };
    },
  };
  masker.add(secrets);
  return masker;
}

interface Patterns {
  /** Forms by their first character, so that most of a text is passed over at once. */
  byStart: ReadonlyMap<string, readonly string[]>;
  expression: RegExp | undefined;
  /** Forms too long for an expression, looked for one by one. */
  long: readonly string[];
  longest: number;
}

/** Longer forms make expressions that the engine refuses. */
const LONGEST_IN_EXPRESSION = 1024;
/** Of all forms together, characters. */
const LARGEST_EXPRESSION = 256 * 1024;

/** Longest first: at the same place the longest form wins. */
function compile(known: Iterable<string>): Patterns {
  const forms = [...known].toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const byStart = new Map<string, string[]>();
  const long: string[] = [];
  const short: string[] = [];
  let size = forms.reduce((sum, form) => sum + form.length, 0);
  for (const form of forms) {
    const start = form.charAt(0);
    const same = byStart.get(start);
    if (same === undefined) byStart.set(start, [form]);
    else same.push(form);
    const tooLong = form.length > LONGEST_IN_EXPRESSION || size > LARGEST_EXPRESSION;
    size -= tooLong ? form.length : 0;
    (tooLong ? long : short).push(form);
  }
  const expression = short.length === 0 ? undefined : new RegExp(short.map(escape).join("|"), "g");
  return { byStart, expression, long, longest: forms[0]?.length ?? 0 };
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}

function replaceAll(text: string, { expression, long }: Patterns): string {
  if (text === "") return text;
  let masked = text;
  for (const form of long) if (masked.length >= form.length) masked = masked.replaceAll(form, () => MASK);
  return expression === undefined ? masked : masked.replace(expression, () => MASK);
}

/**
 * How much of a text can be passed on: all but the longest end that may be the beginning of a form. A form found whole before it, and
 * reaching into it, belongs to what is passed on.
 */
function safeLength(text: string, patterns: Patterns): number {
  const { byStart, expression, long, longest } = patterns;
  if (longest === 0) return text.length;
  let cut = text.length;
  for (let at = Math.max(0, text.length - longest + 1); at < text.length; at += 1) {
    const forms = byStart.get(text.charAt(at));
    if (forms === undefined) continue;
    const rest = text.length - at;
    if (forms.some((form) => form.length > rest && text.startsWith(form.slice(0, rest), at))) {
      cut = at;
      break;
    }
  }
  if (cut === text.length) return cut;
  for (const form of long) {
    for (let at = text.indexOf(form); at !== -1 && at < cut; at = text.indexOf(form, at + form.length)) {
      if (at + form.length > cut) return at + form.length;
    }
  }
  // Matches are looked for from the start of the text: where one begins decides where the next may.
  for (const match of expression === undefined ? [] : text.matchAll(expression)) {
    if (match.index >= cut) break;
    const end = match.index + match[0].length;
    if (end > cut) return end;
  }
  return cut;
}

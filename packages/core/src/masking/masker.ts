import type { Masker, SecretScanner } from "../ports/safety.ts";
import { encodingsOf } from "./encodings.ts";
import { LiteralFinder } from "./literal-finder.ts";

/** What stands in place of a secret: whole in JSON, URLs and shell words alike. */
export const MASK = "***";

/** Secrets shorter than this are not masked: they would take ordinary text away and hide nothing. */
export const SHORTEST_SECRET = 5;

export interface MaskerOptions {
  /** Takes out what looks like a secret, too. */
  scanner?: SecretScanner;
}

/**
 * A masker for exact secrets and the forms that they take on their way: base64 (either alphabet, within a longer text too), hexadecimal,
 * URL-encoded, JSON-escaped, each line of one with several lines. Not masked: a secret that was changed in another way (encrypted,
 * compressed, spelt with spaces), and a base64 text that is broken into lines within the secret.
 *
 * A stream gives, however its text is cut into chunks, exactly what `mask` gives for the whole. It sees secrets added before its next `push`.
 */
export function createMasker(secrets: Iterable<string> = [], options: MaskerOptions = {}): Masker {
  const { scanner } = options;
  const known = new Set<string>();
  let finder = new LiteralFinder([]);

  const masker: Masker = {
    add(more) {
      const before = known.size;
      for (const secret of more) {
        if (secret.length < SHORTEST_SECRET) continue;
        for (const form of encodingsOf(secret)) if (form.length >= SHORTEST_SECRET) known.add(form);
      }
      if (known.size > before) finder = new LiteralFinder(known);
    },
    mask(text) {
      const masked = maskUpTo(text, finder, text.length).masked;
      return scanner === undefined ? masked : scanner.redact(masked);
    },
    stream() {
      const further = scanner?.stream();
      let held = "";
      return {
        push(text) {
          let masked = text;
          if (finder.longest > 0 || held !== "") {
            const whole = held + text;
            const cut = maskUpTo(whole, finder, finder.unfinished(whole, 0));
            masked = cut.masked;
            held = whole.slice(cut.end);
          }
          return further === undefined ? masked : further.push(masked);
        },
        end() {
          const rest = maskUpTo(held, finder, held.length).masked;
          held = "";
          return further === undefined ? rest : further.push(rest) + further.end();
        },
      };
    },
  };
  masker.add(secrets);
  return masker;
}

/** Masks what begins before `limit`; `end` is behind it, or behind the last literal that reaches over it. */
function maskUpTo(text: string, finder: LiteralFinder, limit: number): { masked: string; end: number } {
  let masked = "";
  let done = 0;
  for (let found = finder.next(text, 0); found !== undefined && found.start < limit; found = finder.next(text, done)) {
    masked += text.slice(done, found.start) + MASK;
    done = found.start + found.literal.length;
  }
  const end = Math.max(done, limit);
  return { masked: done === 0 ? text.slice(0, end) : masked + text.slice(done, end), end };
}

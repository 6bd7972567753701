import { stemmer } from "stemmer";

import { BASE_FORMS } from "./irregular-forms.ts";
import { runTogether } from "./run-together.ts";

/**
 * Words of a text as a search index wants them: Unicode words in lower case and stemmed (Porter), without the commonest English
 * words. An identifier or path counts as itself and as its parts (`parseHttpHeader`, `parse_http_header`, `http/header.ts`), so that a
 * question in words finds it and its exact name finds it first.
 */
export function tokenize(text: string): string[] {
  const tokens: string[] = [];
  for (const match of text.matchAll(WORD)) {
    const word = match[0];
    const parts = identifierParts(word);
    if (parts.length > 1) tokens.push(word.toLowerCase());
    for (const part of parts) {
      const lower = part.toLowerCase();
      if (STOP_WORDS.has(lower)) continue;
      tokens.push(stem(lower));
    }
  }
  return tokens;
}

/** As `tokenize`, for programs and questions about them: what is written together (`isinstance`) counts as its words too. */
export function tokenizeCode(text: string): string[] {
  const tokens = tokenize(text);
  for (const [word] of text.matchAll(WORD)) {
    for (const part of identifierParts(word)) {
      for (const one of runTogether(part.toLowerCase())) if (!STOP_WORDS.has(one)) tokens.push(stem(one));
    }
  }
  return tokens;
}

/** `parseHTTPHeader_v2` → parse, HTTP, Header, v2. A word without humps or underscores is its own only part. */
export function identifierParts(word: string): string[] {
  return PLAIN.test(word) ? [word] : (word.match(PART) ?? []);
}

/** Most words; looked at first, for that is ten times cheaper than parting them. */
const PLAIN = /^[A-Z]?[a-z]+$/;

const WORD = /[\p{L}\p{N}_]+/gu;
const PART = /\p{Lu}+(?!\p{Ll})\p{N}*|\p{Lu}?\p{Ll}+\p{N}*|\p{N}+\p{Ll}*|[\p{Lo}\p{Lm}]+/gu;

const stems = new Map<string, string>();

/** Porter stem of a word in lower case. */
export function stem(word: string): string {
  const known = stems.get(word);
  if (known !== undefined) return known;
  const found = stemmer(BASE_FORMS.get(word) ?? word);
  if (stems.size > 50_000) stems.clear();
  stems.set(word, found);
  return found;
}

const STOP_WORDS = new Set(
  (
    "a about above after again all am an and any are as at be because been before being below between both but by can could did do does " +
    "doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just me more " +
    "most my no nor not now of off on once only or other our out over own same she should so some such than that the their them then there " +
    "these they this those through to too under until up very was we were what when where which while who whom why will with would you your"
  ).split(" "),
);

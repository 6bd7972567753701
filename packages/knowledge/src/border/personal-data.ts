import type { SecretFinding } from "@guildhall/core";

/** Names that count as personal data besides what has a shape of its own; matched as whole words, whatever their case. */
export interface PersonalDataOptions {
  names?: readonly string[];
}

interface Rule {
  kind: string;
  pattern: RegExp;
  accept?(found: string): boolean;
}

const RULES: readonly Rule[] = [
  {
    kind: "mail",
    pattern: /(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b/g,
    accept: (found) => !/@(?:example|localhost|test)\b|@example\.(?:com|org|net)$|^git@/i.test(found),
  },
  { kind: "iban", pattern: /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b/g, accept: isIban },
  { kind: "card", pattern: /\b\d(?:[ -]?\d){12,18}\b/g, accept: isCard },
  {
    kind: "phone",
    pattern:
      /(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d(?:[ .-]?\d){5,12}|\(\d{2,5}\)[ .-]?\d(?:[ .-]?\d){4,9}|0\d{2,4}[ /-]\d(?:[ -]?\d){4,9})(?![\w.-]*\w)/g,
  },
  {
    kind: "address",
    pattern:
      /\b\d{1,5}[A-Za-z]? (?:[A-Z][\w'’.-]+ ){1,4}(?:Street|St\.?|Avenue|Ave\.?|Road|Rd\.?|Lane|Ln\.?|Drive|Dr\.?|Boulevard|Blvd\.?|Square|Court|Terrace)\b|\b[A-ZÄÖÜ][a-zäöüß-]+(?:straße|strasse|gasse|allee|platz|weg) \d{1,4}[a-z]?\b/g,
  },
  { kind: "national id", pattern: /\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b/g },
];

/** Personal data by its shape and by the names that are given, in order, none within another. Time grows with the text alone. */
export function findPersonalData(text: string, options: PersonalDataOptions = {}): SecretFinding[] {
  const found: SecretFinding[] = [];
  for (const { kind, pattern, accept = () => true } of RULES) {
    for (const match of text.matchAll(pattern))
      if (accept(match[0])) found.push({ rule: kind, start: match.index, end: match.index + match[0].length });
  }
  const lower = text.toLowerCase();
  for (const name of options.names ?? []) {
    const wanted = name.trim().toLowerCase();
    if (wanted.length < 3 || lower.length !== text.length) continue;
    for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + wanted.length)) {
      if (!/[\p{L}\p{N}_]/u.test(text.charAt(at - 1)) && !/[\p{L}\p{N}_]/u.test(text.charAt(at + wanted.length))) {
        found.push({ rule: "name", start: at, end: at + wanted.length });
      }
    }
  }
  const kept: SecretFinding[] = [];
  for (const one of found.toSorted((x, y) => x.start - y.start || y.end - x.end)) {
    if (one.start >= (kept.at(-1)?.end ?? 0)) kept.push(one);
  }
  return kept;
}

/** ISO 13616: the number after moving four characters is 1 modulo 97. */
function isIban(found: string): boolean {
  const plain = found.replaceAll(" ", "");
  if (plain.length < 15 || plain.length > 34) return false;
  const digits = `${plain.slice(4)}${plain.slice(0, 4)}`.replaceAll(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55));
  let rest = 0;
  for (const digit of digits) rest = (rest * 10 + Number(digit)) % 97;
  return rest === 1;
}

/** ISO/IEC 7812: prefix of a network and Luhn's sum. */
function isCard(found: string): boolean {
  const digits = found.replaceAll(/\D/g, "");
  if (digits.length < 13 || digits.length > 19 || !/^[3-6]/.test(digits)) return false;
  let sum = 0;
  for (const [at, digit] of [...digits.matchAll(/\d/g)].toReversed().entries()) {
    const value = Number(digit[0]) * (at % 2 === 0 ? 1 : 2);
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

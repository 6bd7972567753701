/**
 * Whether a version is what was asked for: `20`, `20.1.x`, `^18.2`, `~1.4`, `>=3.11,<3.13`, `1.2 || 2`. Undefined: the wish cannot be
 * judged by its text (`lts/*`, `stable`, `system`). Of a version only its numbers count.
 */
export function satisfies(version: string, wanted: string): boolean | undefined {
  const have = numbersOf(version);
  if (have === undefined) return undefined;
  const verdicts = wanted.split("||").map((alternative) => every(have, alternative));
  if (verdicts.includes(true)) return true;
  return verdicts.includes(undefined) ? undefined : false;
}

/** The numbers of the first version in a text: of `Python 3.12.1+` 3, 12 and 1. */
export function numbersOf(text: string): number[] | undefined {
  const found = /\d+(?:\.\d+)*/.exec(text)?.[0];
  return found?.split(".").map(Number);
}

function every(have: readonly number[], wanted: string): boolean | undefined {
  const terms = wanted
    .replaceAll(/([<>=~^!]+)\s+/g, "$1")
    .split(/[\s,]+/)
    .filter((term) => term !== "");
  const verdicts = terms.map((term) => one(have, term));
  if (verdicts.includes(false)) return false;
  return verdicts.includes(undefined) ? undefined : true;
}

function one(have: readonly number[], term: string): boolean | undefined {
  if (term === "*" || term === "x") return true;
  const [, operator = "", rest = ""] = /^([<>=~^!]*)v?(.*)$/.exec(term) ?? [];
  const digits = /^\d+(?:\.\d+)*/.exec(rest)?.[0];
  if (digits === undefined) return undefined;
  const want = digits.split(".").map(Number);
  const order = compare(have, want);
  switch (operator) {
    case "":
    case "=":
    case "==":
    case "===":
      return startsWith(have, want);
    case "!=":
      return !startsWith(have, want);
    case ">=":
      return order >= 0;
    case ">":
      return order > 0 && !(want.length < have.length && startsWith(have, want));
    case "<=":
      return order <= 0 || startsWith(have, want);
    case "<":
      return order < 0;
    case "^": {
      const fixed = want.findIndex((part) => part !== 0);
      return order >= 0 && startsWith(have, want.slice(0, (fixed === -1 ? want.length - 1 : fixed) + 1));
    }
    case "~":
      return order >= 0 && startsWith(have, want.slice(0, Math.min(2, want.length)));
    case "~=":
    case "~>":
      return order >= 0 && startsWith(have, want.slice(0, Math.max(1, want.length - 1)));
    default:
      return undefined;
  }
}

function startsWith(have: readonly number[], want: readonly number[]): boolean {
  return want.every((part, place) => (have[place] ?? 0) === part);
}

/** Negative, 0 or positive, as the first is older, equal or newer. */
export function compare(a: readonly number[], b: readonly number[]): number {
  for (let place = 0; place < Math.max(a.length, b.length); place++) {
    const difference = (a[place] ?? 0) - (b[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

import { LiteralFinder } from "../masking/literal-finder.ts";
import { MASK } from "../masking/masker.ts";
import type { SecretFinding, SecretScanner } from "../ports/safety.ts";
import { ASSIGNMENT_RULE } from "./assignment-rule.ts";
import { ALNUM, Cursor, runBefore } from "./cursor.ts";
import type { Rule } from "./rule.ts";
import { LONGEST_BLOCK, SHAPED_RULES } from "./shaped-rules.ts";
import { TOKEN_RULES } from "./token-rules.ts";

export interface SecretScannerOptions {
  /**
   * `shaped`: what can hardly be anything else (tokens of providers, keys, credentials in URLs and headers); for text that is worked on,
   * where a false finding would spoil an edit. `all`: values too that only their names give away; for everything that leaves a session
   * (memories, exports). Default `all`.
   */
  rules?: "shaped" | "all";
}

/** The product's one scanner. Make it once and keep it: it holds no state of a text. */
export function createSecretScanner(options: SecretScannerOptions = {}): SecretScanner {
  const shaped = ruleBook([...TOKEN_RULES, ...SHAPED_RULES]);
  const likely = options.rules === "shaped" ? undefined : ruleBook([ASSIGNMENT_RULE]);

  const look = (text: string): Look => {
    const first = lookWith(shaped, text, text);
    return likely === undefined ? first : merge(first, lookWith(likely, lowered(text), text));
  };
  return {
    scan: (text) => look(text).findings,
    redact: (text) => replace(text, look(text).findings, text.length),
    stream() {
      // `known` characters of what is held have been passed on: they tell what stands before the rest.
      let held = "";
      let known = 0;
      return {
        push(text) {
          if (text === "") return "";
          const whole = held + text;
          const { findings, unsure } = look(whole);
          const cut = Math.max(known, Math.min(unsure, lastWord(whole)), whole.length - LONGEST_BLOCK);
          const end = findings.reduce((after, each) => (each.start < cut && each.end > after ? each.end : after), cut);
          const passed = replace(
            whole,
            findings.filter(({ start }) => start < cut),
            end,
            known,
          );
          const from = Math.max(0, end - CONTEXT);
          held = whole.slice(from);
          known = end - from;
          return passed;
        },
        end() {
          const rest = replace(held, look(held).findings, held.length, known);
          held = "";
          known = 0;
          return rest;
        },
      };
    },
  };
}

/** Characters before a place that a rule may look at. */
const CONTEXT = 100;

interface Look {
  findings: SecretFinding[];
  /** From here on more text might have been read otherwise. */
  unsure: number;
}

interface RuleBook {
  finder: LiteralFinder;
  /** By keyword: rules of it and of those that it begins with. */
  rules: ReadonlyMap<string, readonly Rule[]>;
}

function ruleBook(rules: readonly Rule[]): RuleBook {
  const keywords = [...new Set(rules.flatMap((rule) => rule.keywords))];
  const byKeyword = new Map<string, Rule[]>();
  for (const keyword of keywords) {
    const own = rules.filter((rule) => rule.keywords.some((each) => keyword.startsWith(each)));
    byKeyword.set(keyword, own);
  }
  return { finder: new LiteralFinder(keywords), rules: byKeyword };
}

/** `searched`: the text as the keywords are spelt. */
function lookWith({ finder, rules }: RuleBook, searched: string, text: string): Look {
  const findings: SecretFinding[] = [];
  let unsure = finder.unfinished(searched, 0);
  for (let found = finder.next(searched, 0); found !== undefined;) {
    const { start, literal } = found;
    let end = 0;
    for (const rule of rules.get(literal) ?? []) {
      const keyword = rule.keywords.findLast((each) => literal.startsWith(each)) ?? literal;
      const cursor = new Cursor(text);
      cursor.at = start + keyword.length;
      const secret = rule.match(cursor, start, keyword);
      if (cursor.ranOut) unsure = Math.min(unsure, secret?.start ?? start, start);
      if (secret === undefined || secret.end <= end) continue;
      if (end > 0) findings.pop();
      findings.push({ rule: rule.id, ...secret });
      end = secret.end;
    }
    found = finder.next(searched, Math.max(start + 1, end));
  }
  return { findings, unsure };
}

function merge(a: Look, b: Look): Look {
  const unsure = Math.min(a.unsure, b.unsure);
  if (b.findings.length === 0) return { findings: a.findings, unsure };
  const findings: SecretFinding[] = [];
  for (const each of [...a.findings, ...b.findings].toSorted((one, other) => one.start - other.start || other.end - one.end)) {
    const last = findings.at(-1);
    if (last === undefined || each.start >= last.end) findings.push(each);
    else if (each.end > last.end) last.end = each.end;
  }
  return { findings, unsure };
}

function replace(text: string, findings: readonly SecretFinding[], to: number, from = 0): string {
  let result = "";
  let done = from;
  for (const { start, end } of findings) {
    if (end <= done) continue;
    result += text.slice(done, Math.max(done, start)) + (start >= done ? MASK : "");
    done = end;
  }
  return result + text.slice(done, to);
}

/** Where a text's last word begins, if that may be the first part of a secret that shows itself later only. */
function lastWord(text: string): number {
  const length = runBefore(text, text.length, ALNUM, CONTEXT);
  const start = text.length - length;
  return length >= 8 && /\d/.test(text.slice(start)) ? start : text.length;
}

/** In lower case, and of the same length whatever it holds. */
function lowered(text: string): string {
  const lower = text.toLowerCase();
  return lower.length === text.length ? lower : text.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase());
}

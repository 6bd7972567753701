import { createRequire } from "node:module";

import type * as AstGrep from "@ast-grep/napi";
import type { SgNode } from "@ast-grep/napi";
import { type CodeStructure, GuildError, type StructureEdit, type StructureMatch } from "@guildhall/core";

import { type DynamicLanguage, dynamicLanguages, LANGUAGES, type StructureLanguage } from "./languages.ts";

type Napi = typeof AstGrep;
type Matcher = string | { rule: { pattern: { context: string; selector: string } } };

let loading: { napi: Napi; dynamic: Record<string, DynamicLanguage> } | undefined;

/** Loads the parsers once a process: languages can be registered only once. */
function load(): NonNullable<typeof loading> {
  if (loading !== undefined) return loading;
  const napi = createRequire(import.meta.url)("@ast-grep/napi") as Napi;
  const dynamic = dynamicLanguages();
  napi.registerDynamicLanguage(dynamic);
  return (loading = { napi, dynamic });
}

/** Search and rewriting on syntax trees with ast-grep; about 50 ms to load. Texts are parsed off the event loop. */
export function createCodeStructure(): CodeStructure {
  const { napi, dynamic } = load();
  const matchers = new Map<string, Matcher>();

  const matcherOf = (language: StructureLanguage, pattern: string): Matcher => {
    const key = `${language.name}\0${pattern}`;
    const known = matchers.get(key);
    if (known !== undefined) return known;
    const made = compile(napi, language, dynamic[language.name]?.expandoChar ?? "$", pattern);
    if (matchers.size > 100) matchers.clear();
    matchers.set(key, made);
    return made;
  };
  const find = async (name: string, text: string, pattern: string): Promise<SgNode[]> => {
    const language = languageOf(name);
    const matcher = matcherOf(language, pattern);
    const root = await napi.parseAsync(language.parser, text);
    try {
      return root.root().findAll(matcher);
    } catch (error) {
      throw unusable(language, pattern, error);
    }
  };

  return {
    languages: LANGUAGES.map(({ name, extensions }) => ({ name, extensions })),
    async search(language, text, pattern) {
      const variables = variablesOf(pattern);
      const nodes = await find(language, text, pattern);
      return nodes.map((node): StructureMatch => {
        const { start, end } = node.range();
        return {
          start: start.index,
          end: end.index,
          captures: Object.fromEntries(variables.map((one) => [one.name, captured(node, text, one)])),
        };
      });
    },
    async rewrite(language, text, pattern, replacement) {
      const variables = variablesOf(pattern);
      const foreign = variablesOf(replacement).find((one) => !variables.some(({ name, many }) => name === one.name && many === one.many));
      if (foreign !== undefined) {
        throw new GuildError("invalid_argument", `${foreign.many ? "$$$" : "$"}${foreign.name} of the replacement is not in the pattern`);
      }
      const edits: StructureEdit[] = [];
      for (const node of await find(language, text, pattern)) {
        const { start, end } = node.range();
        if (start.index < (edits.at(-1)?.end ?? 0)) continue;
        const indentation = indentationAt(text, start.index);
        const filled = replacement
          .replaceAll("\n", `\n${indentation}`)
          .replaceAll(VARIABLE, (_all, dollars: string, name: string) => captured(node, text, { name, many: dollars === "$$$" }));
        edits.push({ start: start.index, end: end.index, text: filled });
      }
      return edits;
    },
  };
}

interface Variable {
  name: string;
  many: boolean;
}

const VARIABLE = /(\$\$\$|\$)([A-Z_][A-Z0-9_]*)/g;

/** Named ones, each once; `$_` and `$$$` alone capture nothing. */
function variablesOf(pattern: string): Variable[] {
  const found = new Map<string, Variable>();
  for (const [, dollars, name = ""] of pattern.matchAll(VARIABLE)) {
    if (!name.startsWith("_")) found.set(`${dollars}${name}`, { name, many: dollars === "$$$" });
  }
  return [...found.values()];
}

/** Of several nodes the text from the first to the last, with whatever stands between them. */
function captured(node: SgNode, text: string, { name, many }: Variable): string {
  if (!many) return node.getMatch(name)?.text() ?? "";
  const nodes = node.getMultipleMatches(name);
  const [first, last] = [nodes[0], nodes.at(-1)];
  return first === undefined || last === undefined ? "" : text.slice(first.range().start.index, last.range().end.index);
}

/** White space at the beginning of the line that holds `offset`. */
function indentationAt(text: string, offset: number): string {
  const line = text.lastIndexOf("\n", offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(line, Math.min(offset, line + 200)))?.[0] ?? "";
}

/** A pattern as the parser takes it; in languages in which a call alone reads as a declaration it is read in a function's body. */
function compile(napi: Napi, language: StructureLanguage, expando: string, pattern: string): Matcher {
  if (pattern.trim() === "") throw new GuildError("invalid_argument", "the pattern is empty");
  const { context } = language;
  if (context === undefined) return pattern;
  const trimmed = pattern.trim().replace(/;$/, "");
  const code = context.replace("§", () => trimmed.replaceAll("$", expando));
  const start = context.indexOf("§");
  const end = start + trimmed.length;
  const node = covering(napi.parse(language.parser, code).root(), start, end);
  if (node === undefined || node.kind() === "ERROR" || hasError(node)) return pattern;
  return { rule: { pattern: { context: context.replace("§", () => trimmed), selector: String(node.kind()) } } };
}

/** The innermost node that covers exactly that. */
function covering(node: SgNode, start: number, end: number): SgNode | undefined {
  const inner = node
    .children()
    .map((child) => covering(child, start, end))
    .find((found) => found !== undefined);
  if (inner !== undefined && inner.isNamed()) return inner;
  const range = node.range();
  return range.start.index === start && range.end.index === end ? node : undefined;
}

function hasError(node: SgNode): boolean {
  return node.find({ rule: { kind: "ERROR" } }) !== null;
}

function languageOf(name: string): StructureLanguage {
  const found = LANGUAGES.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new GuildError("invalid_argument", `there is no language ${name}`, {
    remedy: `use one of ${LANGUAGES.map((one) => one.name).join(", ")}`,
  });
}

function unusable(language: StructureLanguage, pattern: string, cause: unknown): GuildError {
  const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
  return new GuildError("invalid_argument", `${JSON.stringify(pattern)} is no pattern of ${language.name}: ${reason}`, { cause });
}

/** A function or class as search sees it; each part is text. */
export interface CodeFields {
  language: string;
  name: string;
  /** First sentence or paragraph of its documentation. */
  summary: string;
  /** The rest of the documentation. */
  documentation: string;
  /** Everything else. */
  body: string;
}

interface Form {
  language: string;
  /** Finds the declaration; group 1 is the name. */
  declaration: RegExp;
  /** Documentation inside the body, as Python's. */
  inner?: RegExp;
}

const FORMS: Form[] = [
  { language: "python", declaration: /^[ \t]*(?:async\s+)?(?:def|class)\s+(\w+)/m, inner: /[rRuUbB]{0,2}("""|''')([\s\S]*?)(?:\1|$)/ },
  { language: "rust", declaration: /^[ \t]*(?:pub(?:\([^)]*\))?\s+)?(?:async\s+)?(?:unsafe\s+)?(?:fn|struct|trait|enum)\s+(\w+)/m },
  { language: "go", declaration: /^func\s+(?:\([^)]*\)\s*)?(\w+)\s*[([]/m },
  {
    language: "javascript",
    declaration:
      /^[ \t]*(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:function\*?|class|interface)\s+([\w$]+)|^[ \t]*(?:export\s+)?const\s+([\w$]+)\s*=\s*(?:async\s*)?(?:\(|function\b|\w+\s*=>)/m,
  },
  {
    language: "java",
    declaration: /^[ \t]*(?:(?:public|private|protected|static|final)\s+)+[\w<>[\], ]+\s+(\w+)\s*\([^)]*\)\s*(?:throws [\w, ]+)?\{/m,
  },
];

/** Most characters in which a declaration is looked for. */
const HEAD = 4_000;

/** Parts a function of the usual languages by its form alone; undefined for what does not begin like one. */
export function codeFields(text: string): CodeFields | undefined {
  const head = text.slice(0, HEAD);
  for (const { language, declaration, inner } of FORMS) {
    const found = declaration.exec(head);
    if (found === null) continue;
    const before = head.slice(0, found.index);
    if (!isPreamble(before)) continue;
    const name = found[1] ?? found[2] ?? "";
    const docstring = inner?.exec(text);
    const written = docstring?.[2] ?? comments(before);
    const [summary, documentation] = partDocumentation(written);
    const start = found.index + found[0].length;
    const after =
      docstring === null || docstring === undefined
        ? text.slice(start)
        : text.slice(start, docstring.index) + text.slice(docstring.index + docstring[0].length);
    return { language, name, summary, documentation, body: after };
  }
  return undefined;
}

/** Names by which people ask for a language; in a collection of that language alone they tell nothing. */
export const LANGUAGE_NAMES: Readonly<Record<string, readonly string[]>> = {
  python: ["python", "python2", "python3", "py"],
  javascript: ["javascript", "js", "typescript", "ts", "node", "nodejs"],
  go: ["golang", "go"],
  rust: ["rust"],
  java: ["java"],
};

/** Decorators, annotations, comments and imports may come before a declaration. Prose may not. */
function isPreamble(text: string): boolean {
  return text.split("\n").every((line) => /^\s*($|[@#/*]|\*\/|import\b|from\b|use\b|package\b|"use |\)|\w+=)/.test(line));
}

function comments(text: string): string {
  return text
    .split("\n")
    .filter((line) => /^\s*(?:\/\/|\/\*|\*|#)/.test(line) && !/^\s*#!?\[/.test(line))
    .map((line) => line.replace(/^\s*(?:\/\/[/!]?|\/\*\*?|\*\/|\*|#)\s?/, "").replace(/\*\/\s*$/, ""))
    .join("\n");
}

function partDocumentation(text: string): [string, string] {
  const trimmed = text.trim();
  const end = /\n\s*\n|\n\s*[:@]|\n\s*(?:Args?|Parameters|Returns?|Raises)\b/.exec(trimmed)?.index ?? trimmed.length;
  return [trimmed.slice(0, end), trimmed.slice(end)];
}

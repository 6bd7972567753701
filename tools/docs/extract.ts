/** A fenced block of a Markdown document. */
export interface Example {
  language: string;
  text: string;
  /** Line of its first line of text, from 1. */
  line: number;
}

/** Fenced blocks, in order. */
export function examplesIn(markdown: string): Example[] {
  const found: Example[] = [];
  let open: { language: string; lines: string[]; line: number } | undefined;
  markdown.split("\n").forEach((line, index) => {
    const fence = /^\s*```(\w*)/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { language: fence[1] ?? "", lines: [], line: index + 2 };
    else {
      found.push({ language: open.language, text: open.lines.join("\n"), line: open.line });
      open = undefined;
    }
  });
  return found;
}

/** Commands to `guild` and `npm`, in words: lines of `sh` blocks and inline code. A placeholder such as `<id>` or `…` is a word. */
export function commandsIn(markdown: string): string[][] {
  const blocks = examplesIn(markdown).filter((example) => ["sh", "bash", "console"].includes(example.language));
  const lines = blocks.flatMap((example) => example.text.replaceAll("\\\n", " ").split("\n"));
  const inline = [...markdown.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map(([, code = ""]) => code);
  return [...lines, ...inline].flatMap((line) => {
    const words = wordsOf(line.replace(/^\s*\$ /, ""));
    const at = words.findIndex((word) => !/^[A-Z_]+=/.test(word));
    const program = words[at]?.replace(/^\.\//, "");
    return program === "guild" || program === "npm" ? [[program, ...words.slice(at + 1)]] : [];
  });
}

/** Relative links, without their anchors. */
export function linksIn(markdown: string): string[] {
  return [...markdown.matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map(([, link = ""]) => link).filter((link) => !/^[a-z]+:/.test(link));
}

/** Paths from the root in inline code: `packages/core/src/errors.ts`. Patterns and placeholders are none. */
export function pathsIn(markdown: string): string[] {
  return [...markdown.matchAll(/`((?:packages|tools|docs|e2e|bench|samples)\/[\w./-]*)`/g)].map(([, path = ""]) => path);
}

/** A line in words as a shell would take it, as far as examples need: quotes, comments, and nothing after a pipe or `&&`. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(#.*)|(\S+)/g)].map(
    ([, double, single, comment, plain]) => double ?? single ?? plain ?? (comment === undefined ? "" : "#"),
  );
  const end = words.findIndex((word) => ["|", "&&", ";", ">", "#", "2>&1"].includes(word));
  return end < 0 ? words : words.slice(0, end);
}

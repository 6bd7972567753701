/** A function, class, section or run of lines of a file. */
export interface FileChunk {
  /** Name of what it declares, or of the section; empty for a run of lines. */
  name: string;
  /** From 1, both included. */
  firstLine: number;
  lastLine: number;
  text: string;
}

/** Cuts a file into pieces that can stand alone. What packages with syntax trees offer can take its place. */
export type Chunker = (path: string, text: string) => FileChunk[];

const DECLARATION =
  /^([ \t]*)(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|internal|static|final|abstract|async|unsafe|override|open|inline|extern|virtual|const)\s+)*(?:(?:def|class|fn|func|fun|function\*?|interface|struct|trait|enum|impl|module|object|record|type)\s+(?:\([^)]*\)\s*)?([\w$.]+)|([\w$]+)\s*=\s*(?:async\s*)?(?:function\b|\([^)]*\)\s*(?::[^=]+)?=>)|[\w$<>[\],&*:]+[\s&*]+([\w$:~]+)\s*\([^;]*\)\s*(?:const\s*)?\{\s*$|(?:async\s+)?(?:get\s+|set\s+)?#?([\w$]+)\s*\([^;]*\)\s*(?::\s*[^={;]+)?\{\s*$)/;
/** Control flow looks like a method's head. */
const NOT_A_NAME = new Set(["if", "for", "while", "switch", "catch", "return", "else", "do", "try", "with", "new", "throw", "await"]);
const COMMENT = /^\s*(?:\/\/|\/\*|\*|#(?!include|define|if|endif)|--|@|"""|''')/;

const LONGEST = 120;
const WINDOW = 40;

/**
 * By the form of the lines alone: a declaration with the comments above it goes to the line before the next thing that is indented no deeper; Markdown goes by its headings; what
 * declares nothing goes by windows. Classes are cut into their methods.
 */
export const chunkByForm: Chunker = (path, text) => {
  const lines = text.split("\n");
  const starts = /\.(md|rst|txt|adoc)$/i.test(path) ? headings(lines) : declarations(lines);
  if (starts.length === 0) return windows(lines, 0, lines.length, "");
  const chunks: FileChunk[] = [];
  if ((starts[0]?.line ?? 0) > 0) chunks.push(...windows(lines, 0, starts[0]?.line ?? 0, ""));
  for (const [at, { line, name }] of starts.entries())
    chunks.push(...windows(lines, line, starts[at + 1]?.line ?? lines.length, name, LONGEST));
  return chunks;
};

interface Start {
  line: number;
  name: string;
}

function headings(lines: readonly string[]): Start[] {
  return lines.flatMap((line, at) => {
    const name = /^#{1,4}\s+(.+)$/.exec(line)?.[1];
    return name === undefined ? [] : [{ line: at, name: name.trim() }];
  });
}

function declarations(lines: readonly string[]): Start[] {
  const starts: Start[] = [];
  for (const [at, line] of lines.entries()) {
    const found = line.length > 400 ? null : DECLARATION.exec(line);
    const name = found?.[2] ?? found?.[3] ?? found?.[4] ?? found?.[5];
    if (found === null || name === undefined || NOT_A_NAME.has(name) || indent(found[1] ?? "") > 8) continue;
    let first = at;
    const previous = starts.at(-1)?.line ?? -1;
    while (first - 1 > previous && COMMENT.test(lines[first - 1] ?? "")) first -= 1;
    starts.push({ line: first, name });
  }
  return starts;
}

function indent(space: string): number {
  return space.replaceAll("\t", "    ").length;
}

/** Lines `from` up to `to`, in runs of at most `most`; blank runs are left out. */
function windows(lines: readonly string[], from: number, to: number, name: string, most = WINDOW): FileChunk[] {
  const chunks: FileChunk[] = [];
  for (let start = from; start < to; start += most) {
    let end = Math.min(to, start + most);
    while (end > start && (lines[end - 1] ?? "").trim() === "") end -= 1;
    const text = lines.slice(start, end).join("\n");
    if (/[\p{L}\p{N}]/u.test(text)) chunks.push({ name, firstLine: start + 1, lastLine: end, text });
  }
  return chunks;
}

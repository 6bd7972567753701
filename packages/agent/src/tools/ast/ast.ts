import { posix } from "node:path";

import { type CodeStructure, GuildError, type Sandbox, type StructureEdit, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { EditHistory } from "../edit/edit-history.ts";
import { statFile, WHOLE_FILE_LIMIT } from "../edit/open-file.ts";
import { lineAt, lineStarts } from "../edit/replace.ts";
import { decodeText, encodeText, newlineOf } from "../edit/text-document.ts";
import { type Staged, writeStaged } from "../patch/write-staged.ts";
import { isConfiguration, lexicalPath, type WorkspacePath, workspacePath } from "../workspace-path.ts";
import { candidateFiles } from "./candidate-files.ts";

export interface AstOptions {
  /** Absolute path of the workspace. */
  workspace: string;
  /** Path of ripgrep within the sandbox; default the toolkit's. */
  rg?: string;
  /** Loads the parsers; called at the first call. */
  codeStructure(): Promise<CodeStructure>;
}

const schema = z.strictObject({
  pattern: z.string().min(1).describe("Code with $NAME for one node, $$$NAME for any number: `foo($A, $$$REST)`"),
  language: z
    .string()
    .optional()
    .describe(
      "Default: that of the file that path names; typescript, tsx, javascript, python, go, rust, java, c, cpp, html, css, json, yaml",
    ),
  path: z.string().optional().describe("File or directory; default the workspace"),
  rewrite: z.string().optional().describe("What to put in its place, with the same names"),
  apply: z.boolean().optional().describe("Write the rewrite; default false shows it only"),
  max_results: z.int().min(1).max(1_000).optional().describe("Matches shown; default 50"),
});

type AstInput = z.output<typeof schema>;

/** Most bytes that one call parses; more is told. */
const MOST_BYTES = 64 * 1024 * 1024;
const OUTPUT_LIMIT = 16_000;

/** Structural search and rewriting; every byte that no match covers stays. See docs/tools.md. */
export function createAstTool(options: AstOptions) {
  return defineTool({
    name: "ast",
    description: "Search code by structure, on the syntax tree, and rewrite what matches in many files; edit with undo takes it back.",
    lazy: true,
    schema,
    risk: ({ apply, path }) => (apply !== true ? Risk.LOW : isConfiguration(options.workspace, path ?? ".") ? Risk.HIGH : Risk.MEDIUM),
    resources: ({ path, apply }) => [
      { name: `file:${lexicalPath(options.workspace, path ?? ".")}`, access: apply === true ? "write" : "read" },
    ],
    repeatable: ({ apply }) => apply !== true,
    async execute(input, context) {
      const history = context.session.get("edit", () => new EditHistory());
      try {
        return await history.exclusively(() => run(options, history, input, context));
      } catch (error) {
        if (GuildError.is(error) && !["internal", "unavailable", "cancelled"].includes(error.code))
          return { status: "error", output: error.line };
        throw error;
      }
    },
  });
}

/** What one file has of it. */
interface Found {
  path: WorkspacePath;
  text: string;
  edits: StructureEdit[];
  staged: Staged | undefined;
}

async function run(options: AstOptions, history: EditHistory, input: AstInput, context: ToolContext): Promise<ToolResult> {
  const { sandbox } = context.session;
  if (input.apply === true && input.rewrite === undefined) throw new GuildError("invalid_argument", "apply needs rewrite");
  const structure = await options.codeStructure();
  const root = await workspacePath(sandbox, input.path ?? ".");
  const { kind } = await statFile(sandbox.files, root);
  const language = languageOf(structure, input, kind === "file" ? root.shown : "");
  const rg = options.rg ?? "/run/guildhall/bin/rg";
  const paths = kind === "file" ? [root.real] : await candidateFiles(sandbox, rg, root.real, language, input.pattern, context.signal);
  // A pattern that cannot be used is told, whether or not there are files.
  await structure.rewrite(language.name, "", input.pattern, input.rewrite ?? "");

  const found: Found[] = [];
  const skipped: string[] = [];
  let bytes = 0;
  for (const path of paths) {
    context.signal.throwIfAborted();
    if (bytes > MOST_BYTES) {
      skipped.push(`everything from ${posix.relative(root.real, path)} on: too much for one call, narrow it with path`);
      break;
    }
    const one = await inFile(sandbox, structure, language.name, path, input);
    if (typeof one === "string") skipped.push(one);
    else {
      bytes += one.text.length;
      if (one.edits.length > 0) found.push(one);
    }
  }
  if (input.apply === true)
    await writeStaged(
      sandbox.files,
      history,
      found.flatMap(({ staged }) => staged ?? []),
      "ast",
    );
  return report(found, skipped, input);
}

function languageOf(structure: CodeStructure, { language, path }: AstInput, file: string): CodeStructure["languages"][number] {
  const extension = posix.extname(file).slice(1);
  const found = structure.languages.find(({ name, extensions }) =>
    language === undefined ? extensions.includes(extension) : name === language,
  );
  if (found !== undefined) return found;
  const names = structure.languages.map(({ name }) => name).join(", ");
  const what = language === undefined ? `the language of ${path ?? "the workspace"} is not clear` : `there is no language ${language}`;
  throw new GuildError("invalid_argument", what, { remedy: `give language: ${names}` });
}

async function inFile(
  sandbox: Sandbox,
  structure: CodeStructure,
  language: string,
  path: string,
  input: AstInput,
): Promise<Found | string> {
  const place = await workspacePath(sandbox, path);
  const stat = await statFile(sandbox.files, place);
  if (stat.size > WHOLE_FILE_LIMIT) return `${place.shown}: too large`;
  const bytes = await sandbox.files.read(place.real);
  const document = decodeText(bytes);
  if (document === undefined) return `${place.shown}: binary`;
  const { text } = document;
  if (input.rewrite === undefined) {
    const matches = await structure.search(language, text, input.pattern);
    return { path: place, text, edits: matches.map(({ start, end }) => ({ start, end, text: "" })), staged: undefined };
  }
  const newline = newlineOf(text);
  const rewritten = await structure.rewrite(language, text, input.pattern, input.rewrite);
  const edits = rewritten
    .map((edit) => ({ ...edit, text: newline === "\n" ? edit.text : edit.text.replace(/\r?\n/g, newline) }))
    .filter((edit) => edit.text !== text.slice(edit.start, edit.end));
  const after = encodeText({ ...document, text: applied(text, edits) });
  return { path: place, text, edits, staged: { path: place, before: { bytes, stat }, after: { bytes: after, mode: undefined } } };
}

function applied(text: string, edits: readonly StructureEdit[]): string {
  const parts: string[] = [];
  let at = 0;
  for (const { start, end, text: replacement } of edits) {
    parts.push(text.slice(at, start), replacement);
    at = end;
  }
  return [...parts, text.slice(at)].join("");
}

function report(found: readonly Found[], skipped: readonly string[], input: AstInput): ToolResult {
  const most = input.max_results ?? 50;
  const lines: string[] = [];
  const matches = found.flatMap(({ path, text, edits }) => {
    const starts = lineStarts(text);
    return edits.map((edit) => ({
      path: path.shown,
      line: lineAt(starts, edit.start),
      before: text.slice(edit.start, edit.end),
      after: edit.text,
    }));
  });
  let [file, size, shown] = ["", 0, 0];
  for (const match of matches.slice(0, most)) {
    const rows = input.rewrite === undefined ? clip(match.before, "  ") : [...clip(match.before, "  - "), ...clip(match.after, "  + ")];
    const block = [
      ...(match.path === file ? [] : [match.path]),
      ...rows.map((row, index) => (index === 0 ? `${row}  (line ${match.line})` : row)),
    ];
    size += block.join("\n").length + 1;
    if (size > OUTPUT_LIMIT) break;
    file = match.path;
    lines.push(...block);
    shown += 1;
  }
  const counted = `${matches.length} ${matches.length === 1 ? "match" : "matches"} in ${found.length} ${found.length === 1 ? "file" : "files"}`;
  const more = shown < matches.length ? `, the first ${shown} shown` : "";
  const state = input.rewrite === undefined ? "" : input.apply === true ? "; written" : "; nothing is written yet: apply true writes it";
  lines.push(
    matches.length === 0 ? "No matches." : `[${counted}${more}${state}]`,
    ...skipped.slice(0, 10).map((one) => `[left out: ${one}]`),
  );
  const data = {
    matches: matches.length,
    files: found.map(({ path, edits }) => ({ path: path.shown, matches: edits.length })).slice(0, 200),
    applied: input.apply === true && matches.length > 0,
    places: matches.slice(0, shown).map(({ path, line }) => ({ path, line })),
  };
  return { status: "ok", output: lines.join("\n"), data };
}

/** A match in at most eight lines. */
function clip(text: string, before: string): string[] {
  const all = text.split(/\r?\n/);
  const rows = all.slice(0, 8).map((line) => `${before}${line.slice(0, 300).toWellFormed()}`);
  return all.length > 8 ? [...rows, `${before}… ${all.length - 8} more lines`] : rows;
}

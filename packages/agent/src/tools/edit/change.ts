import { posix } from "node:path";

import { GuildError, type SandboxFiles, type ToolResult } from "@guildhall/core";

import type { WorkspacePath } from "../workspace-path.ts";
import { contentDigest, type EditHistory } from "./edit-history.ts";
import { nearMatches } from "./near-match.ts";
import { linesOf, numberLines } from "./numbered-view.ts";
import { type OpenFile, openFile, statIfThere } from "./open-file.ts";
import { findAll, insertLines, lineAt, lineStarts, replaceSpan, type Span } from "./replace.ts";
import { encodeText } from "./text-document.ts";

/** A change of a file that is there. */
export type FileChange =
  | { command: "str_replace"; wanted: string; replacement: string }
  | { command: "insert"; after: number; lines: string };

/** Lines shown before and after a change, and at most in all. */
const CONTEXT_LINES = 3;
const SNIPPET_LINES = 30;
const SNIPPET_LIMIT = 3_000;

/**
 * Makes a file, and the directories it needs. A file that is there is replaced only if the agent has seen it as it is now, and keeps its
 * mode, owner and links.
 */
export async function createFile(files: SandboxFiles, path: WorkspacePath, text: string, history: EditHistory): Promise<ToolResult> {
  if (path.shown === ".") throw new GuildError("invalid_argument", "the workspace itself is a directory");
  const bytes = encodeText({ text, encoding: "utf-8", bom: false });
  const stat = await statIfThere(files, path.real);
  if (stat === undefined) {
    const madeDirectories = await missingParents(files, path.real);
    await files.write(path.real, bytes, { parents: true, exclusive: true });
    remember(history, path, { before: undefined, command: "create", madeDirectories }, bytes);
    return changed(path, `Created ${path.shown} (${count(linesOf(text).length, "line")}).`, "create");
  }
  if (stat.kind !== "file") throw new GuildError("failed_precondition", `${path.shown} is there already, and no regular file`);
  const before = await files.read(path.real);
  if (before.length > 0 && history.seen(path.real) !== contentDigest(before)) {
    throw new GuildError(
      "already_exists",
      `${path.shown} is there already (${before.length.toLocaleString("en")} bytes) and was not changed`,
      {
        remedy: "view it first and create it again to replace it whole, or use str_replace",
      },
    );
  }
  await files.write(path.real, bytes);
  remember(history, path, { before: { bytes: before, mode: stat.mode }, command: "create", madeDirectories: [] }, bytes);
  return changed(
    path,
    `Replaced all of ${path.shown} (${count(linesOf(text).length, "line")}); undo brings the former content back.`,
    "create",
  );
}

/** Replaces or inserts text; everything else of the file stays byte for byte. */
export async function changeFile(files: SandboxFiles, path: WorkspacePath, history: EditHistory, change: FileChange): Promise<ToolResult> {
  const file = await openFile(files, path);
  const result = change.command === "insert" ? insert(path, file, change) : replace(path, file, change);
  const bytes = encodeText({ ...file.document, text: result.text });
  const seen = history.seen(path.real);
  const foreign = seen !== undefined && seen !== file.digest;
  await files.write(path.real, bytes);
  const before = { bytes: file.bytes, mode: file.stat.mode };
  remember(history, path, { before, command: change.command, madeDirectories: [] }, bytes);
  const warning = foreign
    ? `Note: ${path.shown} had been changed by something else since you last saw it; that change is kept${change.command === "insert" ? ", but line numbers may have moved: check" : ""}.\n`
    : "";
  return changed(path, `${warning}Changed ${path.shown}:\n${snippet(result.text, result.span)}`, change.command);
}

/** Takes back the last edit of a file, unless something else has changed the file since. */
export async function undoEdit(files: SandboxFiles, path: WorkspacePath, history: EditHistory): Promise<ToolResult> {
  const former = history.last(path.real);
  if (former === undefined) throw new GuildError("failed_precondition", `there is no edit of ${path.shown} to undo in this session`);
  const stat = await statIfThere(files, path.real);
  const present = stat === undefined ? undefined : await files.read(path.real);
  if (present !== undefined && contentDigest(present) !== former.after) {
    throw new GuildError(
      "failed_precondition",
      `${path.shown} has been changed by something else since your last edit; an undo would lose that`,
      {
        remedy: "view it and edit it instead",
      },
    );
  }
  if (former.before === undefined) {
    if (present !== undefined) await files.remove(path.real);
    for (const directory of former.madeDirectories.toReversed()) await removeIfEmpty(files, directory);
    history.saw(path.real, undefined);
  } else {
    await files.write(path.real, former.before.bytes, { parents: true, mode: former.before.mode });
    history.saw(path.real, contentDigest(former.before.bytes));
  }
  history.pop(path.real);
  const rest = history.depth(path.real);
  const outcome = former.before === undefined ? `${path.shown} is gone again` : `${path.shown} is as it was before`;
  return changed(path, `Undid ${former.command}: ${outcome} (${count(rest, "earlier edit")} can be undone).`, "undo");
}

function replace(path: WorkspacePath, file: OpenFile, change: FileChange & { command: "str_replace" }): { text: string; span: Span } {
  const { text } = file.document;
  if (change.wanted === "") throw new GuildError("invalid_argument", "old_str is empty", { remedy: "use insert to add lines" });
  const spans = findAll(text, change.wanted);
  const [span, second] = spans;
  if (span === undefined) throw new GuildError("not_found", notFound(path, text, change.wanted));
  if (second !== undefined) throw new GuildError("invalid_argument", ambiguous(path, text, spans));
  const result = replaceSpan(text, span, change.wanted, change.replacement);
  if (result.text === text) throw new GuildError("invalid_argument", "new_str is the same as old_str: nothing would change");
  return result;
}

function insert(path: WorkspacePath, file: OpenFile, change: FileChange & { command: "insert" }): { text: string; span: Span } {
  const lines = linesOf(file.document.text).length;
  if (change.after > lines) {
    throw new GuildError("invalid_argument", `insert_line ${change.after} is past the end: ${path.shown} has ${count(lines, "line")}`, {
      remedy: `give 0 to ${lines}`,
    });
  }
  return insertLines(file.document.text, change.after, change.lines);
}

function ambiguous(path: WorkspacePath, text: string, spans: readonly Span[]): string {
  const starts = lineStarts(text);
  const lines = linesOf(text);
  const shown = spans.slice(0, 10).map(({ start }) => {
    const line = lineAt(starts, start);
    return numberLines(lines.slice(line - 1, line), line, 300).text;
  });
  const more = spans.length > shown.length ? `\n(and ${spans.length - shown.length} more)` : "";
  return `old_str occurs ${spans.length} times in ${path.shown}; nothing was changed. Add lines around it to make it unique. It begins at:\n${shown.join("\n")}${more}`;
}

function notFound(path: WorkspacePath, text: string, wanted: string): string {
  const near = nearMatches(text, wanted);
  const places = near.map(({ line, lines, difference }) => `${difference}, from line ${line}:\n${numberLines(lines, line, 1_500).text}`);
  const hint = near.length === 0 ? " View the file to see what it holds." : ` Nearest:\n${places.join("\n")}`;
  return `old_str does not occur in ${path.shown}; nothing was changed.${hint}`;
}

function snippet(text: string, span: Span): string {
  const lines = linesOf(text);
  if (lines.length === 0) return "(the file is empty now)";
  const starts = lineStarts(text);
  const first = Math.max(1, lineAt(starts, span.start) - CONTEXT_LINES);
  const end = Math.min(lines.length, lineAt(starts, Math.max(span.start, span.end - 1)) + CONTEXT_LINES);
  const last = Math.min(end, first + SNIPPET_LINES - 1);
  const shown = numberLines(lines.slice(first - 1, last), first, SNIPPET_LIMIT);
  return shown.last < end ? `${shown.text}\n[… up to line ${end}]` : shown.text;
}

/** Directories above a path that are not there, outermost first. */
export async function missingParents(files: SandboxFiles, path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let directory = posix.dirname(path); directory !== "/"; directory = posix.dirname(directory)) {
    if ((await statIfThere(files, directory)) !== undefined) break;
    missing.unshift(directory);
  }
  return missing;
}

async function removeIfEmpty(files: SandboxFiles, directory: string): Promise<void> {
  const stat = await statIfThere(files, directory);
  if (stat?.kind === "directory" && (await files.list(directory)).length === 0) await files.remove(directory);
}

/** Keeps what an edit has replaced; `written` undefined: the file was removed. */
export function remember(
  history: EditHistory,
  path: WorkspacePath,
  former: Omit<Parameters<EditHistory["push"]>[1], "after">,
  written: Uint8Array | undefined,
): void {
  const after = written === undefined ? undefined : contentDigest(written);
  history.push(path.real, { ...former, after: after ?? "" });
  history.saw(path.real, after);
}

function changed(path: WorkspacePath, output: string, change: string): ToolResult {
  return { status: "ok", output, data: { path: path.shown, change } };
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

import { posix } from "node:path";

import { type DirectoryEntry, GuildError, type SandboxFiles, type ToolResult } from "@guildhall/core";

import type { WorkspacePath } from "../workspace-path.ts";
import type { EditHistory } from "./edit-history.ts";
import { linesOf, numberLines } from "./numbered-view.ts";
import { openFile, statFile, WHOLE_FILE_LIMIT } from "./open-file.ts";
import { decodeText, peculiarities } from "./text-document.ts";

/** First and last line wanted, from 1; -1 as the last is the end. */
export type ViewRange = readonly number[];

const LISTED_ENTRIES = 300;
const CHUNK = 1024 * 1024;

/** A file with line numbers, or a directory two levels deep. */
export async function view(
  files: SandboxFiles,
  path: WorkspacePath,
  range: ViewRange | undefined,
  history: EditHistory,
): Promise<ToolResult> {
  const stat = await statFile(files, path);
  if (stat.kind === "directory") {
    if (range !== undefined) throw new GuildError("invalid_argument", `${path.shown} is a directory: view_range is for files`);
    return listDirectory(files, path);
  }
  if (stat.kind === "file" && stat.size > WHOLE_FILE_LIMIT) return viewLarge(files, path, stat.size, range);
  const { document, digest } = await openFile(files, path);
  history.saw(path.real, digest);
  return viewLines(path.shown, linesOf(document.text), range, peculiarities(document));
}

/** Lines of a text that is at hand. */
function viewLines(name: string, lines: readonly string[], range: ViewRange | undefined, notes: readonly string[]): ToolResult {
  const [first, last] = checkRange(range, lines.length);
  const about = [`${lines.length} ${lines.length === 1 ? "line" : "lines"}`, ...notes].join(", ");
  const data = { path: name, lines: lines.length };
  if (lines.length === 0) return { status: "ok", output: `${name} is empty.`, data };
  const shown = numberLines(lines.slice(first - 1, last), first);
  const more = shown.last < last ? `\n[… up to line ${last}: go on with view_range [${shown.last + 1}, ${last}]]` : "";
  return { status: "ok", output: `${name} (${about})\n${shown.text}${more}`, data };
}

function checkRange(range: ViewRange | undefined, count: number): [number, number] {
  if (range === undefined) return [1, count];
  const [first = 1, end = -1] = range;
  const last = end === -1 ? count : Math.min(end, count);
  if (first < 1 || first > Math.max(1, count) || (end !== -1 && end < first)) {
    throw new GuildError("invalid_argument", `view_range [${first}, ${end}] is not within lines 1 to ${count}`, {
      remedy: "give [first, last], or [first, -1] up to the end",
    });
  }
  return [first, last];
}

/** Reads only as far as the wanted lines, without ever holding the file. */
async function viewLarge(files: SandboxFiles, path: WorkspacePath, size: number, range: ViewRange | undefined): Promise<ToolResult> {
  const [first = 1, end = -1] = range ?? [1, -1];
  if (first < 1 || (end !== -1 && end < first)) throw new GuildError("invalid_argument", `view_range [${first}, ${end}] is no range`);
  const last = end === -1 ? Number.POSITIVE_INFINITY : end;
  const wanted: Buffer[] = [];
  let [line, kept] = [1, 0];
  for (let offset = 0; offset < size && kept < CHUNK && line <= last; offset += CHUNK) {
    const bytes = await files.read(path.real, { offset, length: CHUNK });
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (chunk.length === 0) break;
    if (offset === 0 && chunk.includes(0)) throw new GuildError("failed_precondition", `${path.shown} is a binary file (${size} bytes)`);
    let from = 0;
    while (from < chunk.length && line <= last && kept < CHUNK) {
      const feed = chunk.indexOf(10, from);
      const to = feed < 0 ? chunk.length : feed + 1;
      if (line >= first) {
        wanted.push(chunk.subarray(from, to));
        kept += to - from;
      }
      if (feed >= 0) line += 1;
      from = to;
    }
  }
  const bytes = Buffer.concat(wanted);
  const text = decodeText(bytes)?.text ?? bytes.toString("latin1");
  const shown = numberLines(linesOf(text), first);
  if (shown.last < first) throw new GuildError("invalid_argument", `${path.shown} has fewer than ${first} lines`);
  return {
    status: "ok",
    output: `${path.shown} (${size.toLocaleString("en")} bytes)\n${shown.text}\n[lines ${first} to ${shown.last}; go on with view_range]`,
    data: { path: path.shown, bytes: size },
  };
}

async function listDirectory(files: SandboxFiles, path: WorkspacePath): Promise<ToolResult> {
  const rows: string[] = [];
  let left = 0;
  const add = (row: string): void => {
    if (rows.length < LISTED_ENTRIES) rows.push(row);
    else left += 1;
  };
  for (const entry of await sorted(files, path.real)) {
    add(await describe(files, path.real, entry));
    if (entry.kind !== "directory" || entry.name.startsWith(".") || entry.name === "node_modules" || rows.length >= LISTED_ENTRIES)
      continue;
    const directory = posix.join(path.real, entry.name);
    for (const child of await sortedIfReadable(files, directory)) add(`  ${await describe(files, directory, child)}`);
  }
  const more = left > 0 ? `\n[… ${left} more entries; search with kind files finds names]` : "";
  return { status: "ok", output: `${path.shown}/ (${rows.length + left} entries)\n${rows.join("\n")}${more}`, data: { path: path.shown } };
}

async function describe(files: SandboxFiles, directory: string, entry: DirectoryEntry): Promise<string> {
  if (entry.kind === "directory") return `${entry.name}/`;
  if (entry.kind === "symlink") return `${entry.name} -> ${await files.readlink(posix.join(directory, entry.name))}`;
  return entry.kind === "other" ? `${entry.name} (special)` : entry.name;
}

async function sorted(files: SandboxFiles, directory: string): Promise<DirectoryEntry[]> {
  return (await files.list(directory)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function sortedIfReadable(files: SandboxFiles, directory: string): Promise<DirectoryEntry[]> {
  try {
    return await sorted(files, directory);
  } catch (error) {
    // Unreadable or gone meanwhile: its name is listed all the same.
    if (error instanceof GuildError) return [];
    throw error;
  }
}

import { type BlobStore, GuildError, type ToolResult } from "@guildhall/core";

import { numberLines } from "../edit/numbered-view.ts";

const PATTERN = /^output:(sha256:[0-9a-f]{64})$/;

/** The path under which a call's whole output can be viewed. */
export function storedOutputPath(digest: string): string {
  return `output:${digest}`;
}

export function isStoredOutput(path: string): boolean {
  return path.startsWith("output:sha256:");
}

/** Lines of an output in the blob store, numbered; reads only as far as they go, in bounded memory. Throws `not_found`. */
export async function viewStoredOutput(blobs: BlobStore, path: string, range: readonly number[] | undefined): Promise<ToolResult> {
  const digest = PATTERN.exec(path)?.[1];
  if (digest === undefined) throw new GuildError("invalid_argument", `not a stored output: ${path}`);
  const [first = 1, end = -1] = range ?? [];
  if (first < 1 || (end !== -1 && end < first)) throw new GuildError("invalid_argument", `view_range [${first}, ${end}] is no range`);
  const lines: string[] = [];
  let size = 0;
  let line = 1;
  for await (const text of linesIn(blobs.get(digest))) {
    if (line >= first) {
      lines.push(text);
      size += text.length;
    }
    line += 1;
    if ((end !== -1 && line > end) || size > 64_000) break;
  }
  if (lines.length === 0) throw new GuildError("invalid_argument", `the output has fewer than ${first} lines`);
  const shown = numberLines(lines, first);
  return { status: "ok", output: `${shown.text}\n[lines ${first} to ${shown.last} of the stored output]`, data: { path } };
}

/** Lines longer than this are cut for the view anyway. */
const LONGEST_LINE = 1024 * 1024;

async function* linesIn(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of source) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
    if (rest.length > LONGEST_LINE) {
      yield rest;
      rest = "";
    }
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}

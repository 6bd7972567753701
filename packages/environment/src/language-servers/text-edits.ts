import { fileURLToPath } from "node:url";

import { GuildError } from "@guildhall/core";

import type { Data } from "../project/read-data.ts";

/** A replacement in a text; lines and characters (UTF-16) count from 0, as in the protocol. */
export interface TextEdit {
  from: { line: number; character: number };
  to: { line: number; character: number };
  text: string;
}

/** Edits by absolute path. Throws `unsupported` for what creates, renames or deletes files. */
export function editsOf(workspaceEdit: Data): Map<string, TextEdit[]> {
  const files = new Map<string, TextEdit[]>();
  const add = (uri: string, edits: Data): void => {
    const path = fileURLToPath(uri);
    files.set(path, [...(files.get(path) ?? []), ...edits.items.map(textEditOf)]);
  };
  const changes = workspaceEdit.at("documentChanges").items;
  for (const change of changes) {
    if (change.at("kind").present)
      throw new GuildError("unsupported", `the change would ${change.at("kind").text} a file`, { remedy: "do it by hand" });
    add(change.at("textDocument", "uri").text ?? "", change.at("edits"));
  }
  if (changes.length === 0) for (const [uri, edits] of workspaceEdit.at("changes").entries) add(uri, edits);
  return files;
}

/** One edit of the protocol. */
export function textEditOf(edit: Data): TextEdit {
  const at = (end: "start" | "end") => ({
    line: Number(edit.at("range", end, "line").value ?? 0),
    character: Number(edit.at("range", end, "character").value ?? 0),
  });
  return { from: at("start"), to: at("end"), text: edit.at("newText").text ?? "" };
}

/** The text with all edits made; they refer to the text as it was, and do not overlap. Throws `invalid_argument` when they do. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  const offset = ({ line, character }: TextEdit["from"]): number => {
    const start = starts[line];
    if (start === undefined) return text.length;
    return Math.min(start + character, starts[line + 1] === undefined ? text.length : (starts[line + 1] ?? 0) - 1);
  };
  const placed = edits
    .map((edit) => ({ from: offset(edit.from), to: offset(edit.to), text: edit.text }))
    .toSorted((a, b) => a.from - b.from || a.to - b.to);
  let result = "";
  let done = 0;
  for (const edit of placed) {
    if (edit.from < done) throw new GuildError("invalid_argument", "the language server's edits overlap");
    result += text.slice(done, edit.from) + edit.text;
    done = edit.to;
  }
  return result + text.slice(done);
}

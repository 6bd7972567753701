import { GuildError } from "@guildhall/core";

import type { FilePatch, Hunk } from "./file-patch.ts";

/** What the header of one file says. */
interface Header {
  old: string | undefined;
  new: string | undefined;
  renamed: boolean;
  created: boolean;
  deleted: boolean;
  mode: number | undefined;
}

/** Reads a unified diff, as `diff -u` and git write it; see git-diff(1), “Generating patch text with -p”. */
export function parseUnified(lines: readonly string[]): FilePatch[] {
  const patches: FilePatch[] = [];
  let header: Header | undefined;
  let hunks: Hunk[] = [];
  const close = (): void => {
    if (header !== undefined) patches.push(...filePatch(header, hunks));
    header = undefined;
    hunks = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const git = /^diff --git (.+)$/.exec(line)?.[1];
    if (git !== undefined) {
      close();
      header = fresh(gitPaths(git));
    } else if (line.startsWith("--- ") && (lines[at + 1] ?? "").startsWith("+++ ")) {
      const [before, after] = strip(fileName(line.slice(4)), fileName((lines[at + 1] ?? "").slice(4)));
      if (header === undefined || hunks.length > 0) {
        close();
        header = fresh([undefined, undefined]);
      }
      header.old = before;
      header.new = after;
      header.created ||= before === undefined;
      header.deleted ||= after === undefined;
      at += 1;
    } else if (line.startsWith("@@") && header !== undefined) {
      const read = readHunk(lines, at);
      hunks.push(read.hunk);
      at = read.last;
    } else if (header !== undefined) {
      extend(header, line, at);
    }
  }
  close();
  return patches;
}

function fresh([before, after]: [string | undefined, string | undefined]): Header {
  return { old: before, new: after, renamed: false, created: false, deleted: false, mode: undefined };
}

function extend(header: Header, line: string, at: number): void {
  const [, key = "", value = ""] =
    /^(rename from|rename to|copy from|copy to|new file mode|deleted file mode|new mode) (.+)$/.exec(line) ?? [];
  if (/^(GIT binary patch|Binary files )/.test(line))
    throw new GuildError("invalid_argument", `line ${at + 1}: binary patches cannot be applied`);
  if (key.startsWith("copy")) throw new GuildError("invalid_argument", `line ${at + 1}: copies cannot be applied; write the new file out`);
  if (key === "rename from") header.old = unquote(value);
  if (key === "rename to") header.new = unquote(value);
  header.renamed ||= key.startsWith("rename");
  header.created ||= key === "new file mode";
  header.deleted ||= key === "deleted file mode";
  if (key.endsWith("mode") && key !== "deleted file mode") {
    if (!value.startsWith("100"))
      throw new GuildError("invalid_argument", `line ${at + 1}: only regular files can be patched, not mode ${value}`);
    header.mode = Number.parseInt(value.slice(3), 8);
  }
}

function filePatch(header: Header, hunks: Hunk[]): FilePatch[] {
  const { mode } = header;
  if (header.created && header.new !== undefined) {
    const added = hunks.flatMap((hunk) => hunk.lines.filter(({ kind }) => kind !== "-").map(({ text }) => text));
    const end = hunks.at(-1)?.newUnterminated === true || added.length === 0 ? "" : "\n";
    return [{ change: "create", path: header.new, text: added.join("\n") + end, mode }];
  }
  if (header.deleted && header.old !== undefined) return [{ change: "delete", path: header.old, hunks }];
  const path = header.old ?? header.new;
  if (path === undefined) return [];
  const moveTo = header.renamed && header.new !== header.old ? header.new : undefined;
  if (hunks.length === 0 && moveTo === undefined && mode === undefined) return [];
  return [{ change: "update", path: header.renamed ? path : (header.new ?? path), moveTo, hunks, mode }];
}

/** A hunk and the index of its last line. Counts in the header are taken as a hint only: models miscount. */
function readHunk(lines: readonly string[], from: number): { hunk: Hunk; last: number } {
  const numbers = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(lines[from] ?? "");
  const hunk: Hunk = { lines: [], line: undefined, anchors: [], atEnd: false, oldUnterminated: false, newUnterminated: false };
  if (numbers !== null) hunk.line = Number(numbers[1]) + (numbers[2] === "0" ? 1 : 0);
  let [oldLeft, newLeft] = numbers === null ? [Infinity, Infinity] : [Number(numbers[2] ?? 1), Number(numbers[3] ?? 1)];
  let at = from + 1;
  for (; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const kind = line === "" ? " " : line[0];
    if (kind === "\\") {
      const before = hunk.lines.at(-1)?.kind;
      if (before !== "+") hunk.oldUnterminated = true;
      if (before !== "-") hunk.newUnterminated = true;
      continue;
    }
    if (kind !== " " && kind !== "-" && kind !== "+") break;
    const full = oldLeft <= 0 && newLeft <= 0;
    if (full && (line === "" || (line.startsWith("--- ") && (lines[at + 1] ?? "").startsWith("+++ ")))) break;
    if (line === "" && lines.slice(at).every((one) => one === "")) break;
    if (kind !== "+") oldLeft -= 1;
    if (kind !== "-") newLeft -= 1;
    hunk.lines.push({ kind, text: line.slice(1) });
  }
  if (hunk.lines.length === 0) throw new GuildError("invalid_argument", `line ${from + 1} of the patch begins a hunk without lines`);
  return { hunk, last: at - 1 };
}

/** `a/` and `b/` are git's, where both sides have them. */
function strip(before: string | undefined, after: string | undefined): [string | undefined, string | undefined] {
  const prefixed = (before === undefined || before.startsWith("a/")) && (after === undefined || after.startsWith("b/"));
  return prefixed ? [before?.slice(2), after?.slice(2)] : [before, after];
}

function fileName(text: string): string | undefined {
  const name = text.startsWith('"') ? unquote(text.replace(/"[^"]*$/, '"')) : (text.split("\t")[0] ?? "").trimEnd();
  return name === "/dev/null" ? undefined : name;
}

/** Names of a `diff --git` line: only used where no other line has them, and then both are the same. */
function gitPaths(text: string): [string | undefined, string | undefined] {
  if (text.startsWith('"')) {
    const [, before, after] = /^("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")$/.exec(text) ?? [];
    return before === undefined || after === undefined ? [undefined, undefined] : strip(unquote(before), unquote(after));
  }
  const half = (text.length - 1) / 2;
  return strip(text.slice(0, half), text.slice(half + 1));
}

/** Git's C-style quoting: octal escapes are bytes of UTF-8. */
function unquote(text: string): string {
  if (!text.startsWith('"') || !text.endsWith('"')) return text;
  const escapes: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };
  const parts = [...text.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)].map(([, octal, escaped, plain]) => {
    if (octal !== undefined) return Buffer.from([Number.parseInt(octal, 8)]);
    if (escaped !== undefined) return Buffer.from(Object.hasOwn(escapes, escaped) ? [escapes[escaped] ?? 0] : escaped);
    return Buffer.from(plain ?? "");
  });
  return Buffer.concat(parts).toString();
}

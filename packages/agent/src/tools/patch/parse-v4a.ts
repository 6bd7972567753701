import { GuildError } from "@guildhall/core";

import type { FilePatch, Hunk } from "./file-patch.ts";

/** Reads the format that begins with `*** Begin Patch`: hunks are found by their lines and by `@@` anchors, not by numbers. */
export function parseV4a(lines: readonly string[], from: number): FilePatch[] {
  const patches: FilePatch[] = [];
  let at = from;
  const rest = (): string => lines[at] ?? "";
  if (rest() === "*** Begin Patch") at += 1;
  while (at < lines.length) {
    const line = rest();
    const [, verb, path = ""] = /^\*\*\* (Add|Update|Delete) File: (.+)$/.exec(line) ?? [];
    if (line.startsWith("*** End Patch")) break;
    if (verb === undefined) {
      if (line.trim() !== "" && line !== "```") throw wrong(at, line, "a line *** Add File:, *** Update File: or *** Delete File:");
      at += 1;
      continue;
    }
    at += 1;
    if (verb === "Delete") {
      patches.push({ change: "delete", path: path.trim(), hunks: [] });
    } else if (verb === "Add") {
      const added: string[] = [];
      for (; at < lines.length && !isHeader(rest()) && rest() !== "```"; at += 1) {
        if (rest() === "" && isTail(lines, at)) continue;
        if (!rest().startsWith("+")) throw wrong(at, rest(), "a line that begins with +");
        added.push(rest().slice(1));
      }
      patches.push({ change: "create", path: path.trim(), text: added.map((one) => `${one}\n`).join(""), mode: undefined });
    } else {
      const move = /^\*\*\* Move to: (.+)$/.exec(rest())?.[1]?.trim();
      if (move !== undefined) at += 1;
      const read = readHunks(lines, at);
      at = read.at;
      if (read.hunks.length === 0 && move === undefined) throw wrong(at, rest(), `what changes in ${path}`);
      patches.push({ change: "update", path: path.trim(), moveTo: move, hunks: read.hunks, mode: undefined });
    }
  }
  return patches;
}

function readHunks(lines: readonly string[], from: number): { hunks: Hunk[]; at: number } {
  const hunks: Hunk[] = [];
  let at = from;
  let hunk: Hunk | undefined;
  const open = (): Hunk => {
    const made: Hunk = { lines: [], line: undefined, anchors: [], atEnd: false, oldUnterminated: false, newUnterminated: false };
    hunks.push(made);
    return made;
  };
  for (; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    if (line === "*** End of File") {
      if (hunk !== undefined) hunk.atEnd = true;
      hunk = undefined;
    } else if (isHeader(line) || line === "```") {
      break;
    } else if (line.startsWith("@@")) {
      // Several anchors in a row lead to one place.
      if (hunk === undefined || hunk.lines.length > 0) hunk = open();
      const anchor = line.replace(/^@@ ?/, "").replace(/ ?@@$/, "");
      const numbers = /^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@ ?(.*)$/.exec(line);
      if (numbers !== null) hunk.line = Number(numbers[1]);
      else if (anchor.trim() !== "") hunk.anchors.push(anchor);
    } else if (line === "" && isTail(lines, at)) {
      continue;
    } else {
      hunk ??= open();
      const kind = line === "" ? " " : line[0];
      if (kind !== " " && kind !== "-" && kind !== "+") throw wrong(at, line, "a line that begins with a blank, + or -");
      hunk.lines.push({ kind, text: line.slice(1) });
    }
  }
  return { hunks: hunks.filter((one) => one.lines.length > 0), at };
}

function isHeader(line: string): boolean {
  return /^\*\*\* (End Patch|(Add|Update|Delete) File: )/.test(line);
}

/** Only empty lines, and the end of what is wrapped around it, are left. */
function isTail(lines: readonly string[], at: number): boolean {
  return lines.slice(at).every((line) => line === "" || line === "```" || line.startsWith("*** End Patch"));
}

function wrong(at: number, line: string, expected: string): GuildError {
  return new GuildError("invalid_argument", `line ${at + 1} of the patch is ${JSON.stringify(line.slice(0, 120))}, not ${expected}`);
}

/** Most characters of one view, and of one line in it. */
const VIEW_LIMIT = 16_000;
const LINE_LIMIT = 1_000;

/** Lines with their numbers, cut where `limit` is reached; `last` is the number of the last line shown. */
export function numberLines(lines: readonly string[], first: number, limit: number = VIEW_LIMIT): { text: string; last: number } {
  const width = String(first + lines.length - 1).length;
  const shown: string[] = [];
  let size = 0;
  for (const [index, line] of lines.entries()) {
    const row = `${String(first + index).padStart(width)}\t${cutLine(line)}`;
    if (size + row.length > limit && shown.length > 0) break;
    shown.push(row);
    size += row.length + 1;
  }
  return { text: shown.join("\n"), last: first + shown.length - 1 };
}

function cutLine(line: string): string {
  if (line.length <= LINE_LIMIT) return line;
  return `${line.slice(0, LINE_LIMIT).toWellFormed()}… [${(line.length - LINE_LIMIT).toLocaleString("en")} more characters in this line]`;
}

/** The lines of a text without their ends; a final newline ends the last line and begins none. */
export function linesOf(text: string): string[] {
  if (text === "") return [];
  const lines = text.includes("\n") ? text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line)) : text.split("\r");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A stranger's words on one line of at most `length` characters, for a list or a message. */
export function oneLine(text: string, length: number): string {
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

/** Several lines of at most `length` characters together. */
export function bounded(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/**
 * Text on its way to a terminal: whatever agents, repositories and models have put into it, it can only be read. Left as they are: line ends, tabs,
 * colours, and the wiping of a line that we ourselves write. Every other control character, and what turns the direction of text, is
 * written out, so that nothing is hidden either: clipboards (OSC 52), links that show another address (OSC 8), titles, cursor movements, answers
 * that a terminal would type.
 */
export function forTerminal(text: string): string {
  return text.replaceAll(CONTROL, (found) => (HARMLESS.test(found) ? found : found.replaceAll(/[^ -~]/g, named)));
}

// Alternatives of one start each, so that the time is linear.
const CONTROL = /\x1b\[[\d;]*[mK]|\r\x1b\[K|\r\n|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** Colours, wiping the line, line ends. */
const HARMLESS = /^(?:\x1b\[[\d;]*m|\r\x1b\[K|\r\n)$/;

function named(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
  return code === 0x7f ? "^?" : `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/** Makes a terminal's stream pass text through `forTerminal`. Bytes, which only a terminal of a sandbox's own sends, go as they are. Others stay. */
export function guardTerminal(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  if (stream.isTTY !== true) return stream;
  const write = stream.write.bind(stream) as (chunk: string | Uint8Array, ...more: unknown[]) => boolean;
  return Object.assign(stream, {
    write: (chunk: string | Uint8Array, ...more: unknown[]): boolean =>
      write(typeof chunk === "string" ? forTerminal(chunk) : chunk, ...more),
  });
}

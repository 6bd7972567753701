/** What the keys of a terminal send. */
const KEYS: Readonly<Record<string, string>> = {
  Enter: "\r",
  Return: "\r",
  Tab: "\t",
  BTab: "\x1b[Z",
  Escape: "\x1b",
  Esc: "\x1b",
  Space: " ",
  Backspace: "\x7f",
  BSpace: "\x7f",
  Delete: "\x1b[3~",
  Insert: "\x1b[2~",
  Up: "\x1b[A",
  Down: "\x1b[B",
  Right: "\x1b[C",
  Left: "\x1b[D",
  Home: "\x1b[H",
  End: "\x1b[F",
  PageUp: "\x1b[5~",
  PageDown: "\x1b[6~",
  F1: "\x1bOP",
  F2: "\x1bOQ",
  F3: "\x1bOR",
  F4: "\x1bOS",
  F5: "\x1b[15~",
  F6: "\x1b[17~",
  F7: "\x1b[18~",
  F8: "\x1b[19~",
  F9: "\x1b[20~",
  F10: "\x1b[21~",
  F11: "\x1b[23~",
  F12: "\x1b[24~",
};

const SIGNALS = new Set(["SIGINT", "SIGTERM", "SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGWINCH"]);

/** What an `input` argument means: a signal, or bytes for the terminal; both absent: only to wait. */
export interface TerminalInput {
  signal?: string;
  bytes?: Uint8Array;
}

/**
 * Reads an `input` argument: empty means waiting; the name of a signal is that signal; names of keys, with blanks between, are those keys;
 * everything else is text, with Enter after it unless it ends with a newline.
 */
export function readInput(input: string): TerminalInput {
  if (input === "") return {};
  const words = input.trim().split(/\s+/);
  if (words.length === 1 && SIGNALS.has(words[0] ?? "")) return { signal: words[0] ?? "" };
  const keys = words.map(keySequence);
  if (keys.every((key) => key !== undefined)) return { bytes: Buffer.from(keys.join("")) };
  return { bytes: Buffer.from(input.endsWith("\n") ? input : `${input}\n`) };
}

/** Whether an `input` argument types text; else it is keys, a signal, or nothing. */
export function isTyped(input: string): boolean {
  const words = input.trim().split(/\s+/);
  return input !== "" && readInput(input).signal === undefined && !words.every((word) => keySequence(word) !== undefined);
}

/** `C-c` and `Ctrl-C`, `M-x`, and the names above; undefined: no key. */
function keySequence(name: string): string | undefined {
  const control = /^(?:C|Ctrl|CTRL|ctrl)[-+]([A-Za-z@[\\\]^_?])$/.exec(name)?.[1];
  if (control === "?") return "\x7f";
  if (control !== undefined) return String.fromCharCode(control.toUpperCase().charCodeAt(0) & 0x1f);
  const meta = /^(?:M|Alt)[-+](.)$/.exec(name)?.[1];
  if (meta !== undefined) return `\x1b${meta}`;
  return Object.hasOwn(KEYS, name) ? KEYS[name] : undefined;
}

/** Longest line that is held back because a carriage return might still overwrite it. */
const HELD_LINE = 8_192;
/** Longest escape sequence; what goes on longer is text that happens to begin like one. */
const LONGEST_ESCAPE = 4_096;

const ESCAPES =
  /\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]{0,4096}\x1b\\|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ\\`-~]/g;
const UNFINISHED = /(?:\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b\n]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)|\x9b[0-?]*[ -/]*)$/;
const TO_FIRST_COLUMN = /^(?:\x1b\[|\x9b)[01]?G$/;
/** What a line may hold besides text: carriage return, backspace, and controls that show nothing. */
const SPECIAL = /[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]/;
const INVISIBLE = /[\x00-\x07\x0b-\x1f\x7f-\x9f]/g;

/**
 * Turns what a program prints on a terminal, in chunks of any size, into plain lines: escape sequences and invisible controls taken out, of a
 * line that was overwritten (carriage return, backspace) what stood there last, CRLF as LF, bytes that are no UTF-8 as U+FFFD. Memory is
 * bounded whatever comes. Gives whole lines as they are complete; `flush` gives the line under way.
 */
export class TerminalText {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #escape = "";
  #line = "";

  push(bytes: Uint8Array): string {
    return this.#lines(this.#withoutEscapes(this.#decoder.decode(bytes, { stream: true })));
  }

  /** The unfinished line, such as a prompt. What comes later goes on from it. */
  flush(): string {
    const line = lastState(this.#line);
    this.#line = "";
    return line;
  }

  /** The end: nothing more will come, so what was begun is all there is. */
  end(): string {
    const rest = this.#lines(this.#withoutEscapes(this.#decoder.decode()));
    this.#escape = "";
    return rest + this.flush();
  }

  #withoutEscapes(decoded: string): string {
    const text = this.#escape + decoded;
    this.#escape = "";
    if (!text.includes("\x1b") && !text.includes("\x9b")) return text;
    const unfinished = UNFINISHED.exec(text.slice(-LONGEST_ESCAPE))?.[0] ?? "";
    if (unfinished.length < LONGEST_ESCAPE) this.#escape = unfinished;
    const finished = text.slice(0, text.length - this.#escape.length);
    return finished.replace(ESCAPES, (sequence) => (TO_FIRST_COLUMN.test(sequence) ? "\r" : ""));
  }

  #lines(text: string): string {
    if (text === "") return "";
    const whole = this.#line + text.replaceAll("\r\n", "\n");
    const end = whole.lastIndexOf("\n") + 1;
    const [complete, rest] = [whole.slice(0, end), whole.slice(end)];
    let given = SPECIAL.test(complete) ? complete.split("\n").map(lastState).join("\n") : complete;
    this.#line = withoutOverwritten(rest);
    if (this.#line.length > HELD_LINE) given += this.flush();
    return given;
  }
}

/** What stands in a line when all of it has been printed. */
function lastState(line: string): string {
  if (!SPECIAL.test(line)) return line;
  const segments = line.split("\r");
  let shown = segments.findLast((segment) => segment !== "") ?? "";
  if (shown.includes("\b")) shown = withoutErased(shown);
  return shown.replace(INVISIBLE, "");
}

/** The part of an unfinished line that can still matter: from the last carriage return that text follows. */
function withoutOverwritten(line: string): string {
  const end = /\r*$/.exec(line)?.index ?? line.length;
  return line.slice(end === 0 ? 0 : line.lastIndexOf("\r", end - 1) + 1);
}

function withoutErased(line: string): string {
  const kept: string[] = [];
  for (const char of line) {
    if (char === "\b") kept.pop();
    else kept.push(char);
  }
  return kept.join("");
}

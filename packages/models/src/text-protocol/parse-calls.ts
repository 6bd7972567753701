import { bareStyles } from "./bare-styles.ts";
import { knownTools, type TextCall } from "./call-shape.ts";
import type { CallFault, Style } from "./style.ts";
import { TAGGED_STYLES } from "./tagged-styles.ts";

/** What a text holds. */
export interface ParsedText {
  /** What is said besides, without the marks of chat templates. */
  text: string;
  /** What stood between marks of reasoning. */
  reasoning: string;
  calls: TextCall[];
  /** Things that were meant as calls and are none, in words for the model; nothing of such a reply should be run. */
  faults: Array<{ kind: CallFault; message: string }>;
}

/**
 * Reads the calls in what a model wrote, in our text format or any other that models are known to write: marks with JSON, elements or Python between them,
 * fenced and bare JSON. Pure, never throws, in time proportional to the text. Formats that plain text may resemble count only for offered tools; code
 * spans are text; after a call, results that the model imagines end the text. Arguments are never completed: what is cut off is a fault.
 */
export function parseCalls(written: string, tools: ReadonlyArray<{ name: string; schema: string }>): ParsedText {
  const known = knownTools(tools);
  const { text, reasoning } = withoutReasoning(written);
  const styles = [...TAGGED_STYLES, ...bareStyles(tools.map((tool) => tool.name))];
  const result: ParsedText = { text: "", reasoning, calls: [], faults: [] };
  const said: string[] = [];
  const scan = new Scan(text, styles);
  let at = 0;
  for (let places = scan.from(0), from = 0; ; places = scan.from(from)) {
    const [place] = places;
    if (place === undefined || result.calls.length + result.faults.length > MOST) break;
    const { index } = place.match;
    const read = quoted(text, index) ? undefined : firstOf(places, ({ style, match }) => style.read(text, match, known));
    from = Math.max(read?.end ?? 0, index + 1);
    // Imagined results matter only once there was a call: before it they are what they look like.
    if (read === undefined || (read.stop === true && result.calls.length === 0)) continue;
    said.push(text.slice(at, index));
    at = read.end;
    result.calls.push(...(read.calls ?? []));
    if (read.fault !== undefined) result.faults.push({ kind: read.fault, message: FAULTS[read.fault] });
  }
  said.push(text.slice(at));
  result.text = tidied(said.join(""), result.calls.length + result.faults.length > 0);
  return result;
}

/** Of one text; nobody means more. */
const MOST = 500;

const FAULTS: Record<CallFault, string> = {
  unclosed: "a tool call in it is not complete",
  unreadable: "a tool call in it could not be read",
};

interface Place {
  style: Style;
  match: RegExpExecArray;
}

/** The places where calls may begin, in order; each style looks at each part of the text once. */
class Scan {
  readonly #text: string;
  readonly #styles: Array<{ style: Style; open: RegExp; match: RegExpExecArray | null | undefined }>;

  constructor(text: string, styles: readonly Style[]) {
    this.#text = text;
    this.#styles = styles.map((style) => ({ style, open: new RegExp(style.open.source, style.open.flags), match: undefined }));
  }

  /** All styles that may begin at the first such place at or after `at`, in their order; empty: there is none. */
  from(at: number): Place[] {
    let first: Place[] = [];
    for (const one of this.#styles) {
      if (one.match === undefined || (one.match !== null && one.match.index < at)) {
        one.open.lastIndex = at;
        one.match = one.open.exec(this.#text);
      }
      const { style, match } = one;
      if (match === null) continue;
      const index = first[0]?.match.index ?? Infinity;
      if (match.index < index) first = [{ style, match }];
      else if (match.index === index) first.push({ style, match });
    }
    return first;
  }
}

function firstOf<T, R>(items: readonly T[], of: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const result = of(item);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** Within a code span of its line: then it is spoken of, not made. */
function quoted(text: string, at: number): boolean {
  const line = text.slice(Math.max(text.lastIndexOf("\n", at - 1) + 1, at - 2_000), at);
  return (line.replaceAll("```", "").split("`").length - 1) % 2 === 1;
}

const REASONING =
  /<(think|thinking|reasoning|thought)>([\s\S]*?)(?:<\/\1>|$)|\[THINK\]([\s\S]*?)(?:\[\/THINK\]|$)|<\|START_THINKING\|>([\s\S]*?)(?:<\|END_THINKING\|>|$)|<\|channel\|>analysis<\|message\|>([\s\S]*?)(?:<\|end\|>|(?=<\|start\|>)|$)/y;

/** Reasoning at the beginning, between marks; templates that write the opening one themselves leave the closing one alone. */
function withoutReasoning(written: string): { text: string; reasoning: string } {
  const reasoning: string[] = [];
  let at = 0;
  for (;;) {
    while (/\s/.test(written[at] ?? "")) at++;
    REASONING.lastIndex = at;
    const match = REASONING.exec(written);
    if (match === null) break;
    reasoning.push((match[2] ?? match[3] ?? match[4] ?? match[5] ?? "").trim());
    at += match[0].length;
  }
  if (reasoning.length === 0) {
    const close = /<\/think>|\[\/THINK\]/.exec(written);
    // Within a call it is part of an argument.
    if (close === null || /<think>|<call\s|<tool_call|<function|invoke\s|\[TOOL_CALLS\]|^\s*[{[]/.test(written.slice(0, close.index)))
      return { text: written, reasoning: "" };
    return { text: written.slice(close.index + close[0].length), reasoning: written.slice(0, close.index).trim() };
  }
  return { text: written.slice(at), reasoning: reasoning.join("\n\n") };
}

const TEMPLATE_MARKS =
  /<\|(?:eot_id|eom_id|im_end|im_start|end|endoftext|end_of_text|call|return|eos|end_of_turn|END_RESPONSE|START_RESPONSE|END_OF_TURN_TOKEN|message|channel|start)\|>(?:final|commentary|assistant)?|<\/s>|<end_of_turn>|<｜end▁of▁sentence｜>|<bot_end>/g;

/** Without what chat templates put around a reply and what fences leave when their call is taken out. */
function tidied(text: string, called: boolean): string {
  const plain = text.replace(TEMPLATE_MARKS, "");
  if (!called) return plain.trim() === "" ? "" : plain === text ? text : plain.trim();
  let rest = plain.replaceAll(/```\w*\s*```/g, "");
  // The other end of the fence was within the call.
  if ((rest.match(/```/g) ?? []).length % 2 === 1) rest = rest.replace(/^[ \t]*```\w*[ \t]*$/m, "");
  return rest
    .replaceAll(/[;,]\s*$/g, "")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim();
}

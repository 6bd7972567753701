import { argumentsText, argumentValue, asWritten, callsIn, type KnownTools, type TextCall } from "./call-shape.ts";
import { pythonCalls } from "./python-call.ts";
import type { ReadStyle } from "./style.ts";
import { isCutOff, readValue, skipSpace } from "./value.ts";

/** Where a part of a text lies. */
export interface Span {
  from: number;
  to: number;
  /** Index after the mark that closes it; undefined: the text ends first. */
  after: number | undefined;
}

/** From `from` to the first mark of `close`, which may be several alternatives. */
export function spanTo(text: string, from: number, close: RegExp): Span {
  const mark = new RegExp(close.source, "g");
  mark.lastIndex = from;
  const found = mark.exec(text);
  return found === null ? { from, to: text.length, after: undefined } : { from, to: found.index, after: found.index + found[0].length };
}

/** The arguments of a call whose tool is named already: one JSON object, or one element for each. What is neither stays as it is. */
export function namedCall(text: string, name: string, from: number, close: RegExp, tools: KnownTools): ReadStyle {
  const tool = tools.find(name);
  const start = fenceless(text, from);
  const json = text[start] === "{" ? readValue(text, start) : undefined;
  // The value says itself where it ends: a closing mark within one of its texts closes nothing.
  const span = json === undefined ? lastSpan(text, from, close) : spanTo(text, json.end, close);
  const end = span.after ?? span.to;
  const call = (args: string): ReadStyle => ({ calls: [{ tool: tool ?? name.trim(), arguments: args }], end });
  if (json !== undefined) {
    const between = text.slice(json.end, span.to).replaceAll(/[`;\s]/g, "");
    if (between === "") return call(asWritten(text, start, json));
    if (span.after === undefined) return { ...call(asWritten(text, start, json)), end: json.end };
  }
  if (span.after === undefined && text[start] === "{" && isCutOff(text, start)) return { fault: "unclosed", end };
  const body = text.slice(start, span.to);
  const elements = argumentElements(body, tool, tools);
  if (elements !== undefined) return elements === "unclosed" && span.after === undefined ? { fault: "unclosed", end } : call(elements);
  if (body.trim() === "") return span.after === undefined && text[start] === undefined ? { fault: "unclosed", end } : call("{}");
  return span.after === undefined && body.trimStart().startsWith("<")
    ? { fault: "unclosed", end }
    : call(argumentsText(trimmedLines(body), tool, tools));
}

/** Calls that name their tools themselves: JSON values, `name` and a value, GLM's keys and values, Python. */
export function selfNamedCalls(text: string, from: number, close: RegExp, tools: KnownTools): ReadStyle {
  const calls: TextCall[] = [];
  let at = fenceless(text, from);
  for (;;) {
    const next = text[at];
    if (next !== "{" && next !== "[") break;
    const read = readValue(text, at);
    if (read === undefined) break;
    const said = callsIn(read.value, tools, false);
    if (said === undefined) break;
    calls.push(...said);
    at = read.end + (/^[\s;,`]*/.exec(text.slice(read.end, read.end + 64))?.[0].length ?? 0);
  }
  if (calls.length > 0) {
    const span = spanTo(text, at, close);
    const rest = span.after === undefined || text.slice(at, span.to).trim() !== "" ? at : span.after;
    return { calls, end: rest };
  }
  const span = spanTo(text, from, close);
  const end = span.after ?? span.to;
  const body = text.slice(at, span.to);
  const glm = /^([\w.:-]+)\s*(?=<arg_key>)/.exec(body);
  if (glm !== null) return glmCall(glm[1] ?? "", body.slice(glm[0].length), end, tools);
  const named = /^([\w.:-]+)\s*(?:```\w*\s*)?(?=\{)/.exec(body);
  if (named !== null) return namedCall(text, named[1] ?? "", at + named[0].length, close, tools);
  const python = pythonCalls(body, tools);
  if (python !== undefined) return { calls: python, end };
  if (span.after === undefined && (body.trim() === "" || isCutOff(text, at))) return { fault: "unclosed", end };
  // Which tool was meant can be told where the rest cannot: its arguments are refused with the reason.
  const meant = /["'](?:name|tool)["']\s*:\s*["']([\w.:-]+)["']/.exec(body)?.[1];
  const tool = meant === undefined ? undefined : tools.find(meant);
  if (tool !== undefined && span.after !== undefined) return { calls: [{ tool, arguments: body.trim() }], end };
  return { fault: "unreadable", end };
}

function glmCall(name: string, body: string, end: number, tools: KnownTools): ReadStyle {
  const tool = tools.find(name) ?? name;
  const args: Record<string, unknown> = {};
  for (const [, key = "", value = ""] of body.matchAll(/<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>/g)) {
    args[key.trim()] = argumentValue(value, tools.argument(tool, key.trim()));
  }
  return { calls: [{ tool, arguments: JSON.stringify(args) }], end };
}

const ELEMENT =
  /<(?:\w+:|｜DSML｜)?(?:parameter|param|arg|argument)(?:\s*=\s*["']?([\w.-]+)["']?|\s+(?:name|key)\s*=\s*["']([^"']+)["'][^>]*)>|<([A-Za-z_][\w.-]*)>/g;

/** `<parameter=k>v</parameter>`, `<arg name="k">v</arg>`, `<k>v</k>`; undefined: there are none. */
function argumentElements(body: string, tool: string | undefined, tools: KnownTools): string | undefined {
  const args: Record<string, unknown> = {};
  let found = false;
  let at = skipSpace(body, 0);
  for (;;) {
    ELEMENT.lastIndex = at;
    const open = ELEMENT.exec(body);
    if (open === null || body.slice(at, open.index).trim() !== "") break;
    const name = open[1] ?? open[2] ?? open[3] ?? "";
    const from = open.index + open[0].length;
    const tag = open[3] ?? /^<([^\s=>]+)/.exec(open[0])?.[1] ?? "";
    const to = closing(body, from, tag);
    if (to === undefined) return "unclosed";
    if (open[3] !== undefined && tool !== undefined && tools.argument(tool, name) === undefined && !found) return undefined;
    const value = trimmedLines(body.slice(from, to));
    args[name] = argumentValue(value, tool === undefined ? undefined : tools.argument(tool, name));
    found = true;
    at = skipSpace(body, to + tag.length + 3);
  }
  return found ? JSON.stringify(args) : undefined;
}

/** The closing tag after which comes another element or the end: one within the value is text. */
function closing(body: string, from: number, tag: string): number | undefined {
  const close = `</${tag}>`;
  let last: number | undefined;
  for (let at = body.indexOf(close, from); at !== -1; at = body.indexOf(close, at + 1)) {
    last = at;
    const rest = body.slice(skipSpace(body, at + close.length), at + close.length + 200).trimStart();
    if (rest === "" || new RegExp(ELEMENT.source, "y").test(rest)) return at;
  }
  return last;
}

/** To the last closing mark before another call begins: arguments may hold such a mark as text. */
function lastSpan(text: string, from: number, close: RegExp): Span {
  const next = /<(?:call\s|tool_call>|function[=\s]|(?:\w+:|｜DSML｜)?invoke\s)/g;
  next.lastIndex = from;
  const limit = next.exec(text)?.index ?? text.length;
  let span = spanTo(text, from, close);
  for (let more = span; more.after !== undefined && more.to < limit; more = spanTo(text, more.after, close)) span = more;
  return span;
}

/** One line break at either end belongs to the tags. */
function trimmedLines(value: string): string {
  return value.replace(/^\r?\n/, "").replace(/\r?\n[ \t]*$/, "");
}

/** After white space and the beginning of a fence. */
function fenceless(text: string, from: number): number {
  const at = skipSpace(text, from);
  const fence = /^```\w*\s*/.exec(text.slice(at, at + 32));
  return fence === null ? at : at + fence[0].length;
}

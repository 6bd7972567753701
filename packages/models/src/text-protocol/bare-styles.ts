import { namedCall } from "./call-body.ts";
import { argumentsText, callsIn, type KnownTools } from "./call-shape.ts";
import { pythonCall, pythonCalls } from "./python-call.ts";
import type { ReadStyle, Style } from "./style.ts";
import { readValue, skipSpace } from "./value.ts";

/**
 * Ways of writing calls that ordinary text may resemble: they count only where they name an offered tool and can be read to their end, and only from
 * the beginning of a line.
 */
export function bareStyles(names: readonly string[]): Style[] {
  const known = names.map((name) => name.replaceAll(/[^\w-]/g, "\\$&")).join("|");
  return [
    // A fenced block with a call in it.
    { open: /^[ \t]*```(\w*)[ \t]*\r?\n/gm, read: fenced },
    // ReAct: Action and Action Input.
    {
      open: /^[ \t*]*Action:[*\s]*([\w.-]+)\s*\n+[ \t*]*Action[ _]Input:[* \t]*/gim,
      read: react,
    },
    // JSON at the beginning of a line.
    { open: /^[ \t]*(?=[{[])/gm, read: json },
    ...(known === ""
      ? []
      : [
          // Cline: an element named as the tool, one within it for each argument.
          {
            open: new RegExp(`^[ \\t]*<(${known})>(?=\\s*[<{])`, "gm"),
            read: (text: string, match: RegExpExecArray, tools: KnownTools) => element(text, match, tools),
          },
          // Python at the beginning of a line: [bash(command="ls")].
          { open: new RegExp(`^[ \\t]*(?:Call:[ \\t]*)?(\\[[ \\t]*)?(?=(?:\\w+\\.)*(?:${known})\\s*\\()`, "gm"), read: python },
        ]),
  ];
}

function fenced(text: string, match: RegExpExecArray, tools: KnownTools): ReadStyle | undefined {
  const from = match.index + match[0].length;
  const start = skipSpace(text, from);
  if (text[start] === "{" || text[start] === "[") {
    const read = readValue(text, start);
    const calls = read === undefined ? undefined : callsIn(read.value, tools, true);
    if (read === undefined || calls === undefined) return undefined;
    const close = /^\s*(?:```|$)/.exec(text.slice(read.end, read.end + 100));
    return close === null ? undefined : { calls, end: read.end + close[0].length };
  }
  if (!/^(?:tool_code|tool_call|tool|python|py|)$/.test(match[1] ?? "")) return undefined;
  const close = text.indexOf("```", start);
  const calls = pythonCalls(text.slice(start, close === -1 ? text.length : close), tools);
  return calls === undefined ? undefined : { calls, end: close === -1 ? text.length : close + 3 };
}

function react(text: string, match: RegExpExecArray, tools: KnownTools): ReadStyle | undefined {
  const tool = tools.find(match[1] ?? "");
  if (tool === undefined) return undefined;
  const from = match.index + match[0].length;
  const rest = text.slice(from).search(/^[ \t*]*(?:Observation|Thought|Action|Final Answer):/m);
  const end = rest === -1 ? text.length : from + rest;
  const body = text
    .slice(from, end)
    .trim()
    .replace(/^```\w*\s*/, "")
    .replace(/\s*```$/, "");
  return { calls: [{ tool, arguments: argumentsText(body, tool, tools) }], end };
}

function json(text: string, match: RegExpExecArray, tools: KnownTools): ReadStyle | undefined {
  const from = match.index + match[0].length;
  const read = readValue(text, from);
  const calls = read === undefined ? undefined : callsIn(read.value, tools, true);
  return read === undefined || calls === undefined ? undefined : { calls, end: read.end };
}

function element(text: string, match: RegExpExecArray, tools: KnownTools): ReadStyle | undefined {
  const name = match[1] ?? "";
  const from = match.index + match[0].length;
  const first = /^\s*<([\w.-]+)>/.exec(text.slice(from, from + 200))?.[1];
  if (first !== undefined && tools.argument(name, first) === undefined) return undefined;
  const read = namedCall(text, name, from, new RegExp(`</${name}>`), tools);
  return read.calls?.[0]?.arguments.startsWith("{") === true ? read : undefined;
}

function python(text: string, match: RegExpExecArray, tools: KnownTools): ReadStyle | undefined {
  const from = match.index + match[0].length;
  const list = match[1] !== undefined;
  const calls = [];
  for (let at = from; ;) {
    const read = pythonCall(text, at, tools);
    if (read === undefined) return undefined;
    calls.push(read.call);
    const rest = /^\s*(,\s*)?/.exec(text.slice(read.end, read.end + 50));
    if (list && rest?.[1] !== undefined) {
      at = read.end + rest[0].length;
      continue;
    }
    const close = (list ? /^\s*\][ \t]*(?:;|<bot_end>)?[ \t]*(?=\n|$)/ : /^[ \t]*(?:;|<bot_end>)?[ \t]*(?=\n|$)/).exec(
      text.slice(read.end),
    );
    return close === null ? undefined : { calls, end: read.end + close[0].length };
  }
}

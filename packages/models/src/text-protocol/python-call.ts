import type { KnownTools, TextCall } from "./call-shape.ts";
import { readValue, skipSpace } from "./value.ts";

/**
 * Calls written as Python: `bash(command="ls")`, lists of them, within `print(…)`, one a line or separated by commas or semicolons. Names must be
 * offered tools, arguments literal values. Undefined where the text is anything else.
 */
export function pythonCalls(text: string, tools: KnownTools): TextCall[] | undefined {
  let body = text.trim();
  if (body.startsWith("[") && body.endsWith("]")) body = body.slice(1, -1).trim();
  const calls: TextCall[] = [];
  let at = 0;
  while (at < body.length) {
    const printed = /^print\s*\(\s*/.exec(body.slice(at))?.[0].length ?? 0;
    const read = pythonCall(body, at + printed, tools);
    if (read === undefined) return undefined;
    calls.push(read.call);
    at = skipSpace(body, read.end);
    if (printed > 0) {
      if (body[at] !== ")") return undefined;
      at++;
    }
    at += /^[\s,;]*/.exec(body.slice(at))?.[0].length ?? 0;
  }
  return calls.length > 0 ? calls : undefined;
}

/** The call that begins at `at`. */
export function pythonCall(text: string, at: number, tools: KnownTools): { call: TextCall; end: number } | undefined {
  const head = /^((?:\w+\.)*\w+)\s*\(/.exec(text.slice(at, at + 200));
  if (head === null) return undefined;
  const name = head[1] ?? "";
  const tool = tools.find(name) ?? tools.find(name.replace(/\.(call|run|invoke)$/, "")) ?? tools.find(name.split(".").at(-1) ?? "");
  if (tool === undefined) return undefined;
  const args: Record<string, unknown> = {};
  let here = skipSpace(text, at + head[0].length);
  for (let place = 0; ; place++) {
    if (text[here] === ")") return { call: { tool, arguments: JSON.stringify(args) }, end: here + 1 };
    const keyword = /^(\w+)\s*=\s*/.exec(text.slice(here, here + 100));
    const only = place === 0 && keyword === null ? tools.only(tool) : undefined;
    const argument = keyword?.[1] ?? only;
    if (argument === undefined) return undefined;
    const value = readValue(text, here + (keyword?.[0].length ?? 0));
    if (value === undefined) return undefined;
    args[argument] = value.value;
    here = skipSpace(text, value.end);
    if (text[here] === ",") here = skipSpace(text, here + 1);
    else if (text[here] !== ")") return undefined;
  }
}

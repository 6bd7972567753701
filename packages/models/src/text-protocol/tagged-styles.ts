import { namedCall, selfNamedCalls, spanTo } from "./call-body.ts";
import { argumentsText, asWritten, callsIn, type TextCall } from "./call-shape.ts";
import { pythonCalls } from "./python-call.ts";
import type { ReadStyle, Style } from "./style.ts";
import { isCutOff, readValue, skipSpace } from "./value.ts";

/**
 * Ways of writing calls that have marks of their own: our format first, then those of model families, by the chat templates that they are trained
 * with.
 */
export const TAGGED_STYLES: Style[] = [
  // Ours, and the like: <call tool="bash">…</call>.
  {
    open: /<(call|tool|tool_call|tool_use|function|function_call|action)\s+(?:tool|name)\s*=\s*["']([\w.:-]+)["'][^<>]*>/g,
    read: (text, match, tools) => namedCall(text, match[2] ?? "", after(match), new RegExp(`</${match[1]}\\s*>`), tools),
  },
  // Llama 3.1, Qwen 3 Coder, Seed: <function=bash>…</function>.
  {
    open: /<function\s*=\s*["']?([\w.:-]+)["']?\s*>/g,
    read: (text, match, tools) => namedCall(text, match[1] ?? "", after(match), /<\/function\s*>/, tools),
  },
  // Claude's older format, MiniMax, DeepSeek V3.2: <invoke name="bash">…</invoke>.
  {
    open: /<((?:\w+:|｜DSML｜)?)invoke\s+name\s*=\s*["']([\w.:-]+)["']\s*>/g,
    read: (text, match, tools) => namedCall(text, match[2] ?? "", after(match), /<\/(?:\w+:|｜DSML｜)?invoke\s*>/, tools),
  },
  // Hermes, Qwen, GLM, Granite, Phi 4, Nemotron, LM Studio, Command R7B, InternLM, LFM, Apertus: a call or a list of them between two marks.
  {
    open: /<tool_calls?>|<\|tool_calls?\|>|<function_?call>|<TOOLCALL>|<tools>|\[TOOL_REQUEST\]|<\|START_ACTION\|>|<\|action_start\|>(?:\s*<\|plugin\|>)?|<\|tool_call_start\|>|<\|tools_prefix\|>|<\w+:tool_call>|\bfunctools(?=\[)/g,
    read(text, match, tools) {
      const from = skipSpace(text, after(match));
      // A mark around calls that have marks of their own says nothing itself.
      if (/<\/?(?:tool_call|function|(?:\w+:|｜DSML｜)?invoke|call)[\s=>]/y.test(text.slice(from, from + 64))) return { end: from };
      return selfNamedCalls(text, from, ENVELOPE_END, tools);
    },
  },
  // Mistral: [TOOL_CALLS][{…}], [TOOL_CALLS]bash[ARGS]{…}, with [CALL_ID]… between them.
  { open: /\[TOOL_CALLS\]\s*/g, read: mistral },
  // DeepSeek V3, R1, V3.1 and Kimi K2.
  {
    open: /<[|｜]tool[▁_]call[▁_]begin[|｜]>/g,
    read(text, match, tools) {
      const head =
        /^\s*(?:function\s*<[|｜]tool[▁_]sep[|｜]>)?\s*([\w.:-]+)\s*(?:<[|｜]tool[▁_](?:sep|call_argument_begin)[|｜]>)?\s*/.exec(
          text.slice(after(match), after(match) + 300),
        );
      if (head === null) return { fault: "unreadable", end: after(match) };
      return namedCall(text, head[1] ?? "", after(match) + head[0].length, /<[|｜]tool[▁_]calls?[▁_]end[|｜]>/, tools);
    },
  },
  // Llama 3: <|python_tag|> before JSON, a built-in tool's call, or plain code.
  { open: /<\|python_(?:tag|start)\|>/g, read: pythonTag },
  // gpt-oss: … to=functions.bash … <|message|>{…}<|call|>
  {
    open: /(?:<\|start\|>assistant)?(?:<\|channel\|>\w{0,20}\s{0,3})?\bto=((?:functions\.)?[\w-]+)[^{}\n]{0,60}<\|message\|>/g,
    read: (text, match, tools) => namedCall(text, match[1] ?? "", after(match), /<\|(?:call|end|return)\|>/, tools),
  },
  // Functionary: >>>bash, and its arguments on the next line.
  {
    open: /^>>>([\w.-]+)[ \t]*\n(?=\s*\{)/gm,
    read(text, match, tools) {
      if (match[1] === "all" || tools.find(match[1] ?? "") === undefined) return undefined;
      return namedCall(text, match[1] ?? "", after(match), /(?=>>>)|<\|eot_id\|>/, tools);
    },
  },
  // Marks around calls that have marks of their own.
  {
    open: /<\/?(?:\w+:|｜DSML｜)?(?:function_calls|tool_calls?)>|<\/(?:tools|TOOLCALL)>|\[\/TOOL_CALLS\]|<[|｜]tool[▁_]calls(?:[▁_]section)?[▁_](?:begin|end)[|｜]>|<\|tool_call_end\|>|<｜tool▁call▁end｜>|<\|\/tool_call\|>/g,
    read: (_, match) => ({ end: after(match) }),
  },
  // What only the system may say: the model has begun to imagine results.
  {
    open: /^[ \t]*(?:<result[\s>]|<\/?tool_(?:response|result|output)s?[\s>]|<function_results?>|<result>|Observation:|<\|start_header_id\|>(?:ipython|tool)|\[TOOL_RESULTS\]|<[|｜]tool[▁_]outputs[▁_]begin[|｜]>)/gm,
    read: (text) => ({ stop: true, end: text.length }),
  },
];

const ENVELOPE_END =
  /<\/tool_calls?>|<\|\/tool_calls?\|>|<\/function_?call>|<\/TOOLCALL>|<\/tools>|\[END_TOOL_REQUEST\]|<\|END_ACTION\|>|<\|action_end\|>|<\|tool_call_end\|>|<\|tools_suffix\|>|<\/\w+:tool_call>/;

function after(match: RegExpExecArray): number {
  return match.index + match[0].length;
}

function mistral(text: string, match: RegExpExecArray, tools: Parameters<Style["read"]>[2]): ReadStyle {
  const from = after(match);
  if (text[from] === "[" || text[from] === "{") {
    const read = readValue(text, from);
    const calls = read === undefined ? undefined : callsIn(read.value, tools, false);
    if (read !== undefined && calls !== undefined) return { calls, end: read.end };
    return { fault: isCutOff(text, from) ? "unclosed" : "unreadable", end: text.length };
  }
  const head = /^([\w.:-]+?)\s*(?:\[CALL_ID\][\w-]*\s*)?(?:\[ARGS\]\s*)?(?=\{)/.exec(text.slice(from, from + 300));
  if (head === null) return { fault: text.slice(from).trim() === "" ? "unclosed" : "unreadable", end: text.length };
  const at = from + head[0].length;
  const read = readValue(text, at);
  const tool = tools.find(head[1] ?? "") ?? head[1] ?? "";
  if (read !== undefined) return { calls: [{ tool, arguments: asWritten(text, at, read) }], end: read.end };
  if (isCutOff(text, at)) return { fault: "unclosed", end: text.length };
  const next = text.indexOf("[TOOL_CALLS]", at);
  const end = next === -1 ? text.length : next;
  return { calls: [{ tool, arguments: text.slice(at, end).trim() }], end };
}

function pythonTag(text: string, match: RegExpExecArray, tools: Parameters<Style["read"]>[2]): ReadStyle {
  const from = after(match);
  const { to, after: closed } = spanTo(text, from, /<\|python_end\|>|(?=<\|(?:eom_id|eot_id|python_tag)\|>)/);
  const end = closed ?? to;
  const body = text.slice(from, to).trim();
  const built = pythonCalls(body, tools);
  if (built !== undefined) return { calls: built, end };
  if (body.startsWith("{") || body.startsWith("[")) {
    const calls: TextCall[] = [];
    for (let at = 0; at < body.length;) {
      const read = readValue(body, at);
      const said = read === undefined ? undefined : callsIn(read.value, tools, false);
      if (read === undefined || said === undefined) return { fault: isCutOff(body, at) ? "unclosed" : "unreadable", end };
      calls.push(...said);
      at = read.end + (/^[\s;,]*/.exec(body.slice(read.end))?.[0].length ?? 0);
    }
    return { calls, end };
  }
  const python = tools.find("python") ?? tools.find("ipython") ?? tools.find("code_interpreter");
  if (python === undefined || body === "") return { fault: "unreadable", end };
  return { calls: [{ tool: python, arguments: argumentsText(body, python, tools) }], end };
}

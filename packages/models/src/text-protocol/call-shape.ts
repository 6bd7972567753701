import { readValue, skipSpace } from "./value.ts";

/** A call as it stood in a text. */
export interface TextCall {
  tool: string;
  /** JSON text; where the model wrote none, as it wrote it. */
  arguments: string;
}

/** The tools that were offered, as far as reading calls needs them. */
export interface KnownTools {
  /** The offered tool that is meant by a name, `functions.bash:0` for `bash`; undefined: none is. */
  find(name: string): string | undefined;
  /** JSON Schema of one argument; undefined: not known. */
  argument(tool: string, name: string): Record<string, unknown> | undefined;
  /** The argument that a lone text must be: the only one that has to be there. */
  only(tool: string): string | undefined;
}

/** Made from the schemas (JSON text) of the offered tools. */
export function knownTools(tools: ReadonlyArray<{ name: string; schema: string }>): KnownTools {
  const schemas = new Map(tools.map((tool) => [tool.name, tool.schema]));
  const parsed = new Map<string, ArgumentsSchema>();
  const schemaOf = (tool: string): ArgumentsSchema => {
    const known = parsed.get(tool) ?? (JSON.parse(schemas.get(tool) ?? "{}") as ArgumentsSchema);
    parsed.set(tool, known);
    return known;
  };
  return {
    find(name) {
      const plain = name.trim();
      if (schemas.has(plain)) return plain;
      const bare = plain.replace(/^(functions?|tools?)[./:]/, "").replace(/:\d+$/, "");
      return schemas.has(bare) ? bare : undefined;
    },
    argument: (tool, name) => schemaOf(tool).properties?.[name],
    only(tool) {
      const { required = [], properties = {} } = schemaOf(tool);
      const [first, second] = required.length > 0 ? required : Object.keys(properties);
      return second === undefined ? first : undefined;
    },
  };
}

interface ArgumentsSchema {
  properties?: Record<string, Record<string, unknown>>;
  required?: string[];
}

const NAMES = ["name", "tool", "tool_name", "toolName", "function", "function_name", "recipient_name", "action"];
const ARGUMENTS = ["arguments", "args", "parameters", "params", "input", "tool_input", "toolInput", "action_input", "kwargs"];
const BESIDE = new Set(["id", "call_id", "tool_call_id", "type", "index", "thought", "reasoning"]);
const LISTS = ["tool_calls", "tool_uses", "calls", "function_calls"];

/**
 * The calls that a JSON value says, in any of the shapes in which models write them: `{"name", "arguments"}` and its variants, OpenAI's, lists of these,
 * `{"<tool>": {…}}`. Undefined where it is something else. `strict`: tools that nobody offered make it something else too.
 */
export function callsIn(value: unknown, tools: KnownTools, strict: boolean): TextCall[] | undefined {
  if (Array.isArray(value)) {
    const all = value.map((one) => callsIn(one, tools, strict));
    return all.length > 0 && all.every((one) => one !== undefined) ? all.flat() : undefined;
  }
  if (!isRecord(value)) return undefined;
  for (const list of LISTS) if (Array.isArray(value[list])) return callsIn(value[list], tools, strict);
  if (isRecord(value["function"])) return callsIn(value["function"], tools, strict);
  if (isRecord(value["function_call"])) return callsIn(value["function_call"], tools, strict);
  for (const key of NAMES) {
    const name = value[key];
    if (typeof name !== "string" || name.trim() === "") continue;
    const tool = tools.find(name);
    const given = ARGUMENTS.find((one) => Object.hasOwn(value, one));
    if (tool === undefined && (strict || given === undefined)) continue;
    const flat = Object.entries(value).filter(([other]) => other !== key && !BESIDE.has(other));
    const args = given === undefined ? Object.fromEntries(flat) : value[given];
    return [{ tool: tool ?? name.trim(), arguments: argumentsText(args, tool, tools) }];
  }
  const [entry, other] = Object.entries(value).filter(([key]) => !BESIDE.has(key));
  const tool = entry === undefined || other !== undefined ? undefined : tools.find(entry[0]);
  return tool !== undefined && isRecord(entry?.[1]) ? [{ tool, arguments: JSON.stringify(entry[1]) }] : undefined;
}

/** An argument's value, from the text that stood for it: a text where the schema takes one, else what it spells. */
export function argumentValue(text: string, schema: Record<string, unknown> | undefined): unknown {
  const takesText = schema === undefined || JSON.stringify(schema).includes('"string"') || !("type" in schema || "anyOf" in schema);
  if (takesText && schema?.["type"] !== "array" && schema?.["type"] !== "object") return text;
  const read = readValue(text, 0);
  return read !== undefined && skipSpace(text, read.end) === text.length ? read.value : text;
}

/** What stands for a call's arguments, as JSON text: an object, a text that holds one, or the one argument that there is. */
export function argumentsText(args: unknown, tool: string | undefined, tools: KnownTools): string {
  if (args === undefined || args === null) return "{}";
  if (typeof args !== "string") return JSON.stringify(args);
  const read = readValue(args, 0);
  if (read !== undefined && isRecord(read.value) && skipSpace(args, read.end) === args.length) return asWritten(args, 0, read);
  const only = tool === undefined ? undefined : tools.only(tool);
  if (only === undefined || tool === undefined || args.trimStart().startsWith("{")) return args;
  return JSON.stringify({ [only]: argumentValue(args, tools.argument(tool, only)) });
}

/** The text of a value that was read: itself where it is JSON, else what it says as JSON. */
export function asWritten(text: string, at: number, read: { value: unknown; end: number }): string {
  const written = text.slice(at, read.end).trim();
  try {
    JSON.parse(written);
    return written;
  } catch {
    // One of the spellings that JSON does not know.
    return JSON.stringify(read.value);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

import { type PromptMessage, PromptRole, type ToolSchema } from "@guildhall/protocol";

import { unseenPictures } from "../unseen-pictures.ts";

/** How calls are written as text: between tags, or as one JSON object that the server may be told to enforce. */
export type TextForm = "tags" | "json";

/**
 * A conversation for a model that cannot call functions: the tools are described at the end of the system prompt, old calls are text of the
 * assistant, results are messages of the user. Pure; the same conversation gives the same bytes, so that its beginning stays what it was.
 */
export function writePrompt(messages: readonly PromptMessage[], tools: readonly ToolSchema[], form: TextForm): PromptMessage[] {
  const written: PromptMessage[] = [];
  const instructions = tools.length === 0 ? "" : describeTools(tools, form);
  if (messages[0]?.role !== PromptRole.SYSTEM && instructions !== "") written.push(plain(PromptRole.SYSTEM, instructions));
  for (const message of messages) {
    const last = written.at(-1);
    switch (message.role) {
      case PromptRole.SYSTEM: {
        const first = written.length === 0 && instructions !== "";
        written.push({ ...message, text: first ? `${message.text}\n\n${instructions}` : message.text });
        break;
      }
      case PromptRole.ASSISTANT:
        // Nothing was said: what people and tools said before and after it is one message, for roles have to take turns.
        if (message.text.trim() === "" && message.toolCalls.length === 0) break;
        written.push({
          ...message,
          text: writeReply(message.text, message.toolCalls, form),
          toolCalls: [],
          reasoning: "",
          providerData: "",
        });
        break;
      case PromptRole.TOOL: {
        const text = writeResult(message);
        if (last?.role === PromptRole.USER)
          written[written.length - 1] = { ...last, text: `${last.text}\n\n${text}`, cache: last.cache || message.cache };
        else written.push({ ...plain(PromptRole.USER, text), cache: message.cache });
        break;
      }
      default:
        if (last?.role === PromptRole.USER)
          written[written.length - 1] = { ...last, text: `${last.text}\n\n${message.text}`, cache: last.cache || message.cache };
        else written.push(message);
    }
  }
  return written;
}

/** A reply as text, so that `parseCalls` finds the same text and calls in it again, whatever valid JSON the arguments are. */
export function writeReply(text: string, calls: ReadonlyArray<{ tool: string; arguments: string }>, form: TextForm): string {
  if (form === "json") {
    const written = calls.map(
      (call) =>
        `{"tool": ${JSON.stringify(call.tool)}, "arguments": ${isJson(call.arguments) ? call.arguments : JSON.stringify(call.arguments)}}`,
    );
    return `{"say": ${JSON.stringify(text)}, "calls": [${written.join(", ")}]}`;
  }
  const written = calls.map((call) => `<call tool="${call.tool}">\n${call.arguments}\n</call>`);
  return [text.trim(), ...written].filter((part) => part !== "").join("\n\n");
}

/** JSON Schema that a whole reply of the form `json` fits: something said, and calls with the arguments that each tool takes. */
export function replySchema(tools: readonly ToolSchema[]): Record<string, unknown> {
  const call = (tool: ToolSchema) => ({
    type: "object",
    properties: { tool: { const: tool.name }, arguments: JSON.parse(tool.schema) as unknown },
    required: ["tool", "arguments"],
    additionalProperties: false,
  });
  return {
    type: "object",
    properties: { say: { type: "string" }, calls: { type: "array", items: { anyOf: tools.map(call) } } },
    required: ["say", "calls"],
    additionalProperties: false,
  };
}

/** Results are data: a mark within one ends nothing. */
function writeResult(message: PromptMessage): string {
  const output = message.text.replaceAll(/<(?=\/?(?:result|call)\b)/g, "<\\");
  // As text goes nothing but text, whoever reads it.
  const unseen = unseenPictures(message.images.length, true);
  return `<result tool="${message.tool}" status="${message.isError ? "error" : "ok"}">\n${output}${unseen}\n</result>`;
}

function describeTools(tools: readonly ToolSchema[], form: TextForm): string {
  const described = tools.map((tool) => `## ${tool.name}\n${tool.description.trim()}\nArguments (JSON Schema): ${tool.schema}`);
  return `${form === "json" ? JSON_FORM : TAGS_FORM}\n\n# Tools\n\n${described.join("\n\n")}`;
}

const TAGS_FORM = `# How you call tools
You call a tool by writing, each on lines of their own:

<call tool="NAME">
{"ARGUMENT": "value"}
</call>

Between the tags stands one JSON object with the arguments and nothing else. A long text can be given as it is instead of escaped: then write <arg name="ARGUMENT">text</arg> for every argument in place of the object.
Several calls may follow one another; they run side by side. End your reply after the last one: the next message brings a <result> for each, in their order. Never write a <result> yourself.`;

const JSON_FORM = `# How you call tools
Each of your replies is one JSON object and nothing else:

{"say": "what you want to say", "calls": [{"tool": "NAME", "arguments": {"ARGUMENT": "value"}}]}

"calls" may be empty. Several calls run side by side. The next message brings a <result> for each, in their order.`;

function plain(role: PromptRole, text: string): PromptMessage {
  return {
    $typeName: "guildhall.v1.PromptMessage",
    role,
    text,
    reasoning: "",
    toolCalls: [],
    callId: "",
    tool: "",
    isError: false,
    cache: role === PromptRole.SYSTEM,
    providerData: "",
    images: [],
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

import { GuildError, type Tool, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import type { Tool as McpTool } from "@modelcontextprotocol/client";

import { readForeignSchema } from "../foreign/foreign-schema.ts";
import { bounded } from "../foreign/line.ts";
import { ToolNames } from "../foreign/tool-name.ts";
import type { McpConnection } from "./connection.ts";
import { describeElicitation, type ElicitationDesk } from "./elicitation.ts";
import type { SamplingDesk } from "./sampling.ts";
import { toToolResult } from "./tool-result.ts";

/** A server's tools as ours, and those that could not be taken, with the reason. */
export interface McpToolSet {
  tools: Tool[];
  refused: Array<{ name: string; problem: string }>;
}

export interface McpToolOptions {
  connection: McpConnection;
  desk: ElicitationDesk;
  sampling?: SamplingDesk;
  /** The server runs outside of the sandbox: what it does is seen by others. */
  remote: boolean;
  /** They are a person's own modules: `<name>__<tool>`, source `<name>`. */
  own?: boolean;
  /** Names that the configuration allows; undefined: all. */
  only?: readonly string[];
}

const MOST_DESCRIPTION = 2_000;

/**
 * Tools of one server, `mcp__<server>__<tool>`. Their annotations only ever raise a risk: what runs elsewhere is high unless it says that it only
 * reads, then medium; what runs in the sandbox is medium unless it says that it destroys.
 */
export function mcpTools(listed: readonly McpTool[], options: McpToolOptions): McpToolSet {
  const { name } = options.connection;
  const names = new ToolNames(options.own === true ? name : `mcp__${name}`);
  const tools: Tool[] = [];
  const refused: McpToolSet["refused"] = [];
  for (const one of listed) {
    if (options.only !== undefined && !options.only.includes(one.name)) continue;
    const read = readForeignSchema(one.inputSchema);
    if (read.schema === undefined) refused.push({ name: one.name, problem: read.problem });
    else tools.push(toTool(one, names.of(one.name), read.schema, options));
  }
  return { tools, refused };
}

function toTool(one: McpTool, name: string, schema: Tool["schema"], { connection, desk, sampling, remote, own }: McpToolOptions): Tool {
  const { readOnlyHint, destructiveHint } = one.annotations ?? {};
  const risk = remote
    ? readOnlyHint === true
      ? Risk.MEDIUM
      : Risk.HIGH
    : destructiveHint === true && readOnlyHint !== true
      ? Risk.HIGH
      : Risk.MEDIUM;
  const promised = one.outputSchema === undefined ? undefined : readForeignSchema(one.outputSchema).schema;
  const description = bounded(one.description ?? one.title ?? one.name, MOST_DESCRIPTION);
  return {
    name,
    description,
    schema,
    source: own === true ? connection.name : `mcp:${connection.name}`,
    risk: () => risk,
    resources: () => [
      { name: `mcp:${connection.name}`, access: readOnlyHint === true ? "read" : "write" },
      // A server in the sandbox works on the same files as everybody else there.
      ...(remote ? [] : [{ name: "workspace", access: readOnlyHint === true ? ("read" as const) : ("write" as const) }]),
    ],
    repeatable: () => false,
    async execute(input, context: ToolContext): Promise<ToolResult> {
      try {
        const answer = await connection.call(one.name, input as Record<string, unknown>, context);
        const result = await toToolResult(answer, context.session.blobs);
        const { structuredContent } = answer;
        const fits = structuredContent === undefined || promised?.safeParse(structuredContent).success !== false;
        if (!fits) result.output += "\n[this does not fit the schema of results that the server declares]";
        return withQuestion(result, connection.name, desk, sampling);
      } catch (error) {
        context.signal.throwIfAborted();
        if (!GuildError.is(error)) throw error;
        return withQuestion({ status: "error", output: error.line, data: { code: error.code } }, connection.name, desk, sampling);
      }
    },
  };
}

/** Tells the model of a question that the server asked meanwhile and nobody answered, and of what it wants to have written. */
function withQuestion(before: ToolResult, server: string, desk: ElicitationDesk, sampling: SamplingDesk | undefined): ToolResult {
  const wanted = sampling?.news(server);
  const result = wanted === undefined ? before : { ...before, output: `${before.output}\n${wanted}` };
  const question = desk.news(server);
  if (question === undefined) return result;
  const how = "[Nobody has answered. Ask the person; then hand the answer in with mcp_answer and call the tool again.]";
  return { ...result, output: `${result.output}\n${describeElicitation(question)}\n${how}` };
}

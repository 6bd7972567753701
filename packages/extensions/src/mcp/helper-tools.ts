import { GuildError, type Tool, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { oneLine } from "../foreign/line.ts";
import type { McpConnection } from "./connection.ts";
import type { ElicitationDesk } from "./elicitation.ts";
import { showText, toResourceResult } from "./tool-result.ts";

/** Entries of one list that are shown. */
const MOST_LISTED = 200;

const server = z.string().min(1).describe("Name of the MCP server");

/** What sessions with MCP servers have besides the servers' own tools: their resources and prompts, and answers to what they ask. All lazy. */
export function mcpHelperTools(connections: readonly McpConnection[], desk: ElicitationDesk): Tool[] {
  const find = (name: string): McpConnection => {
    const found = connections.find((one) => one.name === name);
    if (found === undefined) {
      throw new GuildError("not_found", `there is no MCP server ${name}`, {
        remedy: `one of: ${connections.map((one) => one.name).join(", ")}`,
      });
    }
    return found;
  };
  return [resources(find), prompts(find), answers(find, desk)] as Tool[];
}

function resources(find: (name: string) => McpConnection): Tool {
  const schema = z.strictObject({ server, uri: z.string().optional().describe("The resource to read; without it they are listed") });
  return helper("mcp_resource", "List the resources of an MCP server, or read one.", schema, async (input, context) => {
    const connection = find(input.server);
    if (input.uri !== undefined) {
      const { uri } = input;
      const read = await connection.request((client, limits) => client.readResource({ uri }, limits), context.signal);
      return await toResourceResult(read, context.session.blobs);
    }
    const [listed, templates] = await connection.request(
      async (client, limits) =>
        [await client.listResources(undefined, limits), await client.listResourceTemplates(undefined, limits)] as const,
      context.signal,
    );
    const lines = [
      ...listed.resources.map((one) => `${one.uri}: ${one.name}${one.description === undefined ? "" : ` – ${one.description}`}`),
      ...templates.resourceTemplates.map((one) => `${one.uriTemplate}: ${one.name} (template)`),
    ];
    return await list(lines, "no resources", context);
  });
}

function prompts(find: (name: string) => McpConnection): Tool {
  const schema = z.strictObject({
    server,
    name: z.string().optional().describe("The prompt to get; without it they are listed"),
    arguments: z.record(z.string(), z.string()).optional(),
  });
  return helper("mcp_prompt", "List the prompts of an MCP server, or get one.", schema, async (input, context) => {
    const connection = find(input.server);
    if (input.name !== undefined) {
      const params = { name: input.name, ...(input.arguments === undefined ? {} : { arguments: input.arguments }) };
      const got = await connection.request((client, limits) => client.getPrompt(params, limits), context.signal);
      const said = got.messages.map(({ role, content }) => `${role}: ${content.type === "text" ? content.text : `[${content.type}]`}`);
      return { status: "ok", ...(await showText(said.join("\n"), context.session.blobs)) };
    }
    const listed = await connection.request((client, limits) => client.listPrompts(undefined, limits), context.signal);
    const lines = listed.prompts.map((one) => {
      const args = (one.arguments ?? []).map((arg) => (arg.required === true ? arg.name : `${arg.name}?`));
      return `${one.name}(${args.join(", ")})${one.description === undefined ? "" : `: ${one.description}`}`;
    });
    return await list(lines, "no prompts", context);
  });
}

function answers(find: (name: string) => McpConnection, desk: ElicitationDesk): Tool {
  const schema = z.strictObject({
    server,
    action: z.enum(["accept", "decline"]),
    content: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]))
      .optional()
      .describe("The person's answer, field by field"),
  });
  return {
    ...helper("mcp_answer", "Hand in what the person answered to a question of an MCP server.", schema, async (input) => {
      const { name } = find(input.server);
      const given = desk.answer(name, { action: input.action, ...(input.content === undefined ? {} : { content: input.content }) });
      if (!given) return { status: "error", output: `${name} has asked nothing that is still open.` };
      return { status: "ok", output: `Kept for the next question of ${name}. Call the tool again.` };
    }),
    // It speaks in the person's name: the person sees the exact answer first.
    risk: () => Risk.HIGH,
  };
}

function helper<Schema extends z.ZodObject>(
  name: string,
  description: string,
  schema: Schema,
  execute: (input: z.output<Schema>, context: ToolContext) => Promise<ToolResult>,
): Tool {
  const tool: Tool<Schema> = {
    name,
    description,
    schema,
    source: "mcp",
    lazy: true,
    risk: () => Risk.MEDIUM,
    resources: () => [],
    repeatable: () => false,
    async execute(input, context) {
      try {
        return await execute(input, context);
      } catch (error) {
        context.signal.throwIfAborted();
        if (!GuildError.is(error)) throw error;
        return { status: "error", output: error.line, data: { code: error.code } };
      }
    },
  };
  return tool;
}

async function list(lines: readonly string[], none: string, context: ToolContext): Promise<ToolResult> {
  const shown = lines.slice(0, MOST_LISTED).map((line) => oneLine(line, 300));
  if (lines.length > MOST_LISTED) shown.push(`[${lines.length - MOST_LISTED} more]`);
  return { status: "ok", ...(await showText(shown.join("\n") || `[${none}]`, context.session.blobs)) };
}

import { GuildError } from "@guildhall/core";
import { ActionStatus, type OpenToolboxResponse } from "@guildhall/protocol";
import { type CallToolResult, Server, type ServerContext, type Tool } from "@modelcontextprotocol/server";

import type { Connection } from "../client/connect.ts";
import { SESSION_TOOLS } from "./session-tools.ts";

export interface GuildhallServerOptions {
  connection: Connection;
  workspace: string;
  /** The latest word of the toolbox; undefined while its sandbox starts. */
  toolbox(): Promise<OpenToolboxResponse>;
  credentials: Record<string, string>;
  version: string;
}

/**
 * Guildhall as an MCP server: the agent's tools, all in one sandbox over one directory, and the person's sessions. Shells and interpreters keep their
 * state as long as the server lives.
 */
export function createGuildhallServer(options: GuildhallServerOptions): Server {
  const { version, workspace } = options;
  const server = new Server(
    { name: "guildhall", title: "Guildhall", version },
    {
      capabilities: { tools: { listChanged: true } },
      instructions: `Tools work in a sandbox over ${workspace}. session_run gives a whole goal to an agent; session_result tells what came of it.`,
    },
  );
  server.setRequestHandler("tools/list", async () => ({ tools: [...toolsOf(await options.toolbox()), ...sessionTools()] }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const progress = reporter(context);
    try {
      return await call(options, params.name, params.arguments ?? {}, context.mcpReq.signal, progress);
    } catch (error) {
      return { isError: true, content: [{ type: "text", text: GuildError.from(error).line }] };
    }
  });
  return server;
}

async function call(
  { connection, toolbox, workspace, credentials }: GuildhallServerOptions,
  name: string,
  args: Record<string, unknown>,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<CallToolResult> {
  const own = SESSION_TOOLS.find((tool) => tool.name === name);
  if (own !== undefined) {
    const answer = await own.run(args, { connection, workspace, credentials, signal, progress });
    return { content: [{ type: "text", text: JSON.stringify(answer, undefined, 1) }], structuredContent: answer };
  }
  const { toolboxId } = await toolbox();
  const request = { toolboxId, tool: name, arguments: JSON.stringify(args) };
  for await (const { kind } of connection.extensions.callToolbox(request, { signal })) {
    if (kind.case === "progress") progress(kind.value);
    if (kind.case !== "result") continue;
    const { status, output } = kind.value;
    return { content: [{ type: "text", text: output }], ...(status === ActionStatus.OK ? {} : { isError: true }) };
  }
  throw new GuildError("cancelled", `the call of ${name} was cancelled`);
}

function toolsOf(toolbox: OpenToolboxResponse): Tool[] {
  return toolbox.tools.map(({ name, description, schema }) => ({
    name,
    description,
    inputSchema: JSON.parse(schema) as Tool["inputSchema"],
  }));
}

function sessionTools(): Tool[] {
  return SESSION_TOOLS.map(({ name, description, inputSchema, readOnly }) => ({
    name,
    description,
    inputSchema,
    annotations: { readOnlyHint: readOnly },
  }));
}

/** Output on its way, as progress, where the client asks for it. */
function reporter(context: ServerContext): (text: string) => void {
  const { _meta: meta } = context.mcpReq;
  const progressToken = meta?.progressToken;
  let count = 0;
  return (text) => {
    if (progressToken === undefined) return;
    count += 1;
    const params = { progressToken, progress: count, message: text.slice(0, 1_000) };
    // A client that has gone away needs no progress.
    context.mcpReq.notify({ method: "notifications/progress", params }).catch(() => undefined);
  };
}

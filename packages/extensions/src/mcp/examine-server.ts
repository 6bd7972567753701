import type { Sandbox, Secrets } from "@guildhall/core";

import { oneLine } from "../foreign/line.ts";
import { McpConnection } from "./connection.ts";
import { ElicitationDesk } from "./elicitation.ts";
import { mcpLink } from "./mcp-link.ts";
import { mcpTools } from "./mcp-tools.ts";
import type { NamedMcpServer } from "./server-config.ts";

/** What a server says of itself and offers. */
export interface ExaminedServer {
  server: string;
  protocolVersion: string;
  tools: Array<{ name: string; description: string; source: string; schema: string }>;
  resources: string[];
  prompts: string[];
  refused: string[];
}

/** Connects once, asks for everything that there is to list, and closes. Throws as McpConnection does. */
export async function examineMcpServer(options: {
  server: NamedMcpServer;
  workspace: string;
  sandbox: Promise<Sandbox>;
  secrets(): Promise<Secrets>;
  version: string;
  signal: AbortSignal;
}): Promise<ExaminedServer> {
  const { server, workspace, sandbox, version, signal } = options;
  const connection = new McpConnection({
    name: server.name,
    link: mcpLink({ server, sandbox, secrets: options.secrets }),
    timeoutMs: server.config.timeout_s * 1000,
    workspace,
    version,
  });
  try {
    const client = await connection.connect(signal);
    const capabilities = client.getServerCapabilities() ?? {};
    const { resources } = capabilities.resources === undefined ? { resources: [] } : await client.listResources(undefined, { signal });
    const { prompts } = capabilities.prompts === undefined ? { prompts: [] } : await client.listPrompts(undefined, { signal });
    const made = mcpTools(connection.tools, { connection, desk: new ElicitationDesk(), remote: "url" in server.config });
    const { name = "", version: of = "" } = client.getServerVersion() ?? {};
    return {
      server: oneLine(`${name} ${of}`, 200),
      protocolVersion: client.getNegotiatedProtocolVersion() ?? "",
      tools: made.tools.map((tool) => ({ name: tool.name, description: oneLine(tool.description, 400), source: tool.source, schema: "" })),
      resources: resources.map((one) => oneLine(`${one.uri} ${one.name}`, 300)),
      prompts: prompts.map((one) => oneLine(one.name, 100)),
      refused: [...connection.refused, ...made.refused.map((one) => `${one.name}: ${one.problem}`)].map((line) => oneLine(line, 300)),
    };
  } finally {
    await connection.close();
  }
}

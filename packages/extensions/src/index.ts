/** What joins a session from outside: MCP servers, and what a project brings along. */
export { McpPart, type McpPartOptions } from "./mcp/mcp-part.ts";

/** What joins a session from outside: MCP servers, and what a project brings along. */
export { examineMcpServer, type ExaminedServer } from "./mcp/examine-server.ts";
export { McpConnection } from "./mcp/connection.ts";
export { ElicitationDesk } from "./mcp/elicitation.ts";
export { mcpTools } from "./mcp/mcp-tools.ts";
export { McpPart, type McpPartOptions } from "./mcp/mcp-part.ts";
export { crossAppSignIn } from "./mcp/cross-app-sign-in.ts";
export { machineSignIn } from "./mcp/machine-sign-in.ts";
export { clientOf } from "./mcp/sign-in-for.ts";
export type { Sampler, SamplingRequest } from "./mcp/sampling.ts";
export { signIn } from "./mcp/sign-in.ts";
export { signInSecret, StoredSignIn } from "./mcp/stored-sign-in.ts";
export { framedGuidance, GUIDANCE_FILES, GUIDANCE_PREFACE, MOST_GUIDANCE } from "./guidance/guidance.ts";
export { HookPart } from "./hooks/hook-part.ts";
export { type Hooks, readHooks } from "./hooks/hooks.ts";
export { openApiTools } from "./openapi/openapi-tools.ts";
export { ProjectPart } from "./project-part.ts";
export { readSkill, type Skill } from "./skills/skill.ts";

import type { McpServer, SessionConfigOption, SessionModeState } from "@agentclientprotocol/sdk";
import { GuildError } from "@guildhall/core";

import type { Connection } from "../client/connect.ts";

/** What an editor's person can choose for a session: who is asked about risky actions, and which model works. */
export type Mode = "ask" | "auto";

/** The modes, as the protocol tells them. */
export function modesOf(mode: Mode): SessionModeState {
  return {
    currentModeId: mode,
    availableModes: [
      { id: "ask", name: "Ask", description: "Risky actions wait for your permission, as the policy has it." },
      { id: "auto", name: "Auto", description: "What would be asked is allowed, save private data that could leave on a stranger's word." },
    ],
  };
}

/** Throws `invalid_argument` for a mode that there is not. */
export function modeOf(id: string): Mode {
  if (id === "ask" || id === "auto") return id;
  throw new GuildError("invalid_argument", "there is no such mode", { subject: id, remedy: "ask or auto" });
}

/** Models that can be chosen now: the session's own, and those of providers that answer or whose key is there. */
export async function modelOptions(
  connection: Connection,
  current: string,
  credentials: Record<string, string>,
): Promise<SessionConfigOption[]> {
  const { vendors, routes } = await connection.models.listProviders({});
  const usable = vendors.filter(({ keys, local, answers }) => (local ? answers : keys.some((key) => (credentials[key] ?? "") !== "")));
  const found = usable.flatMap(({ name, models }) => models.slice(0, MOST_MODELS).map((model) => `${name}/${model}`));
  const all = new Set([...(current === "" ? [] : [current]), ...Object.keys(routes).map((role) => `role:${role}`), ...found]);
  if (all.size === 0) return [];
  const options = [...all].map((value) => ({ value, name: value }));
  return [{ id: "model", name: "Model", category: "model", type: "select", currentValue: current, options }];
}

/** The client's MCP servers in the form of an `mcpServers` file; those of kinds that we do not speak are left out. */
export function mcpFile(servers: readonly McpServer[]): string {
  const entries = servers.flatMap((server): Array<[string, object]> => {
    const name = server.name.replaceAll(/[^A-Za-z0-9_.-]/g, "-").slice(0, 40);
    if ("command" in server) {
      const env = Object.fromEntries(server.env.map((one) => [one.name, one.value]));
      return [[name, { command: server.command, args: server.args, env }]];
    }
    const headers = Object.fromEntries(server.headers.map((one) => [one.name, one.value]));
    return server.type === "http" ? [[name, { url: server.url, headers }]] : [];
  });
  return JSON.stringify({ mcpServers: Object.fromEntries(entries) });
}

const MOST_MODELS = 50;

import { join } from "node:path";

import type { Paths } from "@guildhall/core/paths";

import type { PartFactory } from "../parts/index.ts";
import type { TrustStore } from "../trust/trust-store.ts";
import { McpServers } from "./mcp-servers.ts";

export interface ExtensionOptions {
  paths: Pick<Paths, "config" | "data">;
  trust: TrustStore;
  version: string;
}

/** What joins a session from the operator's settings and from the project: MCP servers. */
export function extensionParts(options: ExtensionOptions): PartFactory[] {
  return [mcp(options)];
}

function mcp({ paths, trust, version }: ExtensionOptions): PartFactory {
  const servers = new McpServers({ config: paths.config, trustFile: join(paths.data, "trust.json"), trust });
  return {
    name: "mcp",
    async open({ session, workspace, sandbox }) {
      const { McpPart } = await import("@guildhall/extensions");
      const part = new McpPart({ workspace, sandbox, version, servers: () => servers.of(workspace) });
      // Whoever calls a tool without a session does so at once.
      if (session === undefined) await part.ready();
      return part;
    },
  };
}

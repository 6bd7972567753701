import { join } from "node:path";

import type { Secrets } from "@guildhall/core";
import type { Paths } from "@guildhall/core/paths";

import type { PartFactory } from "../parts/index.ts";
import type { TrustStore } from "../trust/trust-store.ts";
import { McpServers } from "./mcp-servers.ts";

export interface ExtensionOptions {
  servers: McpServers;
  secrets(): Promise<Secrets>;
  version: string;
}

/** What the extensions of one daemon are made from. */
export function createExtensions(options: {
  paths: Pick<Paths, "config" | "data">;
  trust: TrustStore;
  secrets(): Promise<Secrets>;
  version: string;
}): ExtensionOptions {
  const { paths, trust, secrets, version } = options;
  return { servers: new McpServers({ config: paths.config, trustFile: join(paths.data, "trust.json"), trust }), secrets, version };
}

/** What joins a session from the operator's settings and from the project: MCP servers. */
export function extensionParts(options: ExtensionOptions): PartFactory[] {
  return [mcp(options)];
}

function mcp({ servers, secrets, version }: ExtensionOptions): PartFactory {
  return {
    name: "mcp",
    async open({ session, workspace, sandbox }) {
      const { McpPart } = await import("@guildhall/extensions");
      const part = new McpPart({ workspace, sandbox, version, secrets, servers: () => servers.of(workspace) });
      // Whoever calls a tool without a session does so at once.
      if (session === undefined) await part.ready();
      return part;
    },
  };
}

import { join } from "node:path";

import type { Secrets, SessionKey } from "@guildhall/core";
import type { Paths } from "@guildhall/core/paths";
import type { Sampler } from "@guildhall/extensions";

import type { Log } from "../daemon/log.ts";
import type { PartFactory } from "../parts/session-parts.ts";
import type { TrustStore } from "../trust/trust-store.ts";
import { McpServers } from "./mcp-servers.ts";
import { ProjectDesk } from "./project-desk.ts";

export interface ExtensionOptions {
  servers: McpServers;
  project(): Promise<ProjectDesk>;
  journal: Log;
  secrets(): Promise<Secrets>;
  version: string;
  /** A model for what a session's MCP servers want to have written. */
  sampler?(session: SessionKey): Sampler;
}

/** What the extensions of one daemon are made from. */
export function createExtensions(options: {
  paths: Pick<Paths, "config" | "data">;
  trust: TrustStore;
  secrets(): Promise<Secrets>;
  version: string;
  journal: Log;
}): ExtensionOptions {
  const { paths, trust, secrets, version, journal } = options;
  const place = { config: paths.config, trustFile: join(paths.data, "trust.json"), trust };
  let desk: Promise<ProjectDesk> | undefined;
  const project = () => (desk ??= import("@guildhall/extensions").then((extensions) => new ProjectDesk(place, extensions)));
  return { servers: new McpServers(place), project, secrets, version, journal };
}

/** What joins a session from the operator's settings and from the project: MCP servers, tools, skills, guidance, documents, hooks. */
export function extensionParts(options: ExtensionOptions): PartFactory[] {
  return [mcp(options), project(options), hooks(options)];
}

function project(options: ExtensionOptions): PartFactory {
  return {
    name: "project",
    introduction: async ({ workspace }) => (await options.project()).introduction(workspace),
    async open({ workspace, sandbox }) {
      const [{ ProjectPart }, desk] = await Promise.all([import("@guildhall/extensions"), options.project()]);
      return new ProjectPart({ sandbox, skills: () => desk.skills(workspace), documents: () => desk.documents(workspace) });
    },
  };
}

function hooks(options: ExtensionOptions): PartFactory {
  return {
    name: "hooks",
    async open({ session, workspace, sandbox }) {
      // Whoever calls a tool by hand is no agent whose calls are to be watched.
      if (session === undefined) return undefined;
      const [{ HookPart }, desk] = await Promise.all([import("@guildhall/extensions"), options.project()]);
      const failed = (line: string): void => options.journal.warn(`${session.session}: ${line}`);
      return new HookPart({ sandbox, hooks: () => desk.hooks(workspace), failed });
    },
  };
}

function mcp({ servers, secrets, version, sampler }: ExtensionOptions): PartFactory {
  return {
    name: "mcp",
    async open({ session, workspace, sandbox }) {
      const { McpPart } = await import("@guildhall/extensions");
      const own = servers.for(session?.session);
      const model = session === undefined || sampler === undefined ? {} : { sampler: sampler(session) };
      const part = new McpPart({ workspace, sandbox, version, secrets, ...model, servers: () => own(workspace) });
      // Whoever calls a tool without a session does so at once.
      if (session === undefined) await part.ready();
      return part;
    },
  };
}

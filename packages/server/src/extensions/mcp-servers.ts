import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import { type NamedMcpServer, readMcpServers } from "@guildhall/extensions/mcp-config";

import type { TrustStore } from "../trust/trust-store.ts";
import { stampOf, trustedFiles } from "../trust/trusted-files.ts";

/** Names of the files: the operator's in the settings directory, a project's in `.guildhall`. */
const MCP_FILE = "mcp.json";
const PROJECT_FILE = `.guildhall/${MCP_FILE}`;

export interface McpServersOptions {
  /** Settings directory. */
  config: string;
  /** The file in which trust is kept. */
  trustFile: string;
  trust: TrustStore;
}

/** The MCP servers that count in one directory: the operator's, and the project's as far as they were trusted. Of one name the operator's wins. */
export class McpServers {
  readonly #options: McpServersOptions;
  readonly #known = new Map<string, { stamp: string; servers: readonly NamedMcpServer[] }>();

  constructor(options: McpServersOptions) {
    this.#options = options;
  }

  /** The operator's file. */
  get file(): string {
    return join(this.#options.config, MCP_FILE);
  }

  /** Those of the project too that nobody has trusted as they are now. */
  all(workspace: string): Array<NamedMcpServer & { trusted: boolean }> {
    const counted = this.of(workspace);
    const file = join(workspace, PROJECT_FILE);
    const text = lstatSync(file, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(file, "utf8") : undefined;
    const found = text === undefined ? [] : readMcpServers(text, file, "project");
    const others = found.filter(({ name }) => !counted.some((one) => one.name === name));
    return [...counted.map((one) => ({ ...one, trusted: true })), ...others.map((one) => ({ ...one, trusted: false }))];
  }

  /** The same array until something has changed. Throws `invalid_argument` for a file that cannot be read, with its place. */
  of(workspace: string): readonly NamedMcpServer[] {
    const { config, trust, trustFile } = this.#options;
    const stamp = stampOf([join(config, MCP_FILE), join(workspace, PROJECT_FILE), trustFile]);
    const known = this.#known.get(workspace);
    if (known?.stamp === stamp) return known.servers;
    const own = this.operator();
    const text = trustedFiles(trust, workspace, PROJECT_FILE).get(PROJECT_FILE);
    const project = text === undefined ? [] : readMcpServers(text, join(workspace, PROJECT_FILE), "project");
    const servers = [...own, ...project.filter(({ name }) => !own.some((one) => one.name === name))];
    // A trust file that others touched says nothing new by itself: what runs goes on running.
    const same = known !== undefined && JSON.stringify(known.servers) === JSON.stringify(servers);
    const kept = { stamp, servers: same ? known.servers : servers };
    this.#known.set(workspace, kept);
    return kept.servers;
  }

  operator(): NamedMcpServer[] {
    const { file } = this;
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw new GuildError("permission_denied", "the MCP servers cannot be read", { subject: file, cause: error });
    }
    return readMcpServers(text, file, "operator");
  }
}

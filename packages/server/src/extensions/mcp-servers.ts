import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";
import { configDigest, type NamedMcpServer, readMcpServers } from "@guildhall/extensions/mcp-config";
import { projectToolServer } from "@guildhall/extensions/project-tools";

import type { TrustStore } from "../trust/trust-store.ts";
import { stampOf, trustedFiles } from "../trust/trusted-files.ts";
import { namesInside, readInside } from "./project-files.ts";

/** Names of the files: the operator's in the settings directory, a project's in `.guildhall`. */
const MCP_FILE = "mcp.json";
const PROJECT_FILE = `.guildhall/${MCP_FILE}`;
/** Directories of modules that export tools: the operator's in the settings directory, and a project's. */
const TOOLS = "tools";
const PROJECT_TOOLS = `.guildhall/${TOOLS}`;

/** Sessions with servers of their own. */
const MOST_LENT = 200;

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
  readonly #lent = new Map<string, readonly NamedMcpServer[]>();
  readonly #known = new Map<string, { stamp: string; servers: readonly NamedMcpServer[] }>();

  constructor(options: McpServersOptions) {
    this.#options = options;
  }

  /** Lends a session servers of its own, kept in memory. Throws `invalid_argument` for a configuration that is none. */
  lend(session: string, config: string): void {
    this.#lent.delete(session);
    const servers = readMcpServers(config, session, "project");
    if (servers.length > 0) this.#lent.set(session, servers);
    for (const oldest of this.#lent.keys()) {
      if (this.#lent.size <= MOST_LENT) break;
      this.#lent.delete(oldest);
    }
  }

  /** Those that count for a session: the directory's, and what was lent to it under names that are free. The same array until that has changed. */
  for(session: string | undefined): (workspace: string) => readonly NamedMcpServer[] {
    let before: { counted: readonly NamedMcpServer[]; lent: readonly NamedMcpServer[]; all: readonly NamedMcpServer[] } | undefined;
    return (workspace) => {
      const counted = this.of(workspace);
      const lent = session === undefined ? undefined : this.#lent.get(session);
      if (lent === undefined) return counted;
      if (before?.counted === counted && before.lent === lent) return before.all;
      const all = [...counted, ...lent.filter(({ name }) => !counted.some((one) => one.name === name))];
      before = { counted, lent, all };
      return all;
    };
  }

  /** The operator's file. */
  get file(): string {
    return join(this.#options.config, MCP_FILE);
  }

  /** Those of the project too that nobody has trusted as they are now. */
  all(workspace: string): Array<NamedMcpServer & { trusted: boolean }> {
    const counted = this.of(workspace).filter(({ kind }) => kind === undefined);
    const file = join(workspace, PROJECT_FILE);
    const text = lstatSync(file, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(file, "utf8") : undefined;
    const found = text === undefined ? [] : readMcpServers(text, file, "project");
    const others = found.filter(({ name }) => !counted.some((one) => one.name === name));
    return [...counted.map((one) => ({ ...one, trusted: true })), ...others.map((one) => ({ ...one, trusted: false }))];
  }

  /** The same array until something has changed. Throws `invalid_argument` for a file that cannot be read, with its place. */
  of(workspace: string): readonly NamedMcpServer[] {
    const { config, trust, trustFile } = this.#options;
    const tools = [...names(config, TOOLS), ...names(workspace, PROJECT_TOOLS)];
    const stamp = stampOf([join(config, MCP_FILE), join(workspace, PROJECT_FILE), trustFile, ...tools]);
    const known = this.#known.get(workspace);
    if (known?.stamp === stamp) return known.servers;
    const own = this.operator();
    const text = trustedFiles(trust, workspace, PROJECT_FILE).get(PROJECT_FILE);
    const project = text === undefined ? [] : readMcpServers(text, join(workspace, PROJECT_FILE), "project");
    const modules = [
      projectToolServer("own", "operator", this.#operatorTools()),
      projectToolServer("project", "project", relative(trustedFiles(trust, workspace, PROJECT_TOOLS))),
    ];
    const servers = [
      ...own,
      ...project.filter(({ name }) => !own.some((one) => one.name === name)),
      ...modules.filter((one) => one !== undefined),
    ];
    // A trust file that others touched says nothing new by itself: what runs goes on running.
    const same = known !== undefined && JSON.stringify(known.servers.map(configDigest)) === JSON.stringify(servers.map(configDigest));
    const kept = { stamp, servers: same ? known.servers : servers };
    this.#known.set(workspace, kept);
    return kept.servers;
  }

  #operatorTools(): Map<string, string> {
    const { config } = this.#options;
    const found = names(config, TOOLS).map((path) => path.slice(join(config, TOOLS).length + 1));
    return new Map(
      found.flatMap((name) => {
        const text = readInside(config, `${TOOLS}/${name}`, 1024 * 1024);
        return text === undefined ? [] : [[name, text] as const];
      }),
    );
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

/** Full paths of what lies in a directory. */
function names(root: string, directory: string): string[] {
  return namesInside(root, directory).map((name) => join(root, directory, name));
}

function relative(files: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...files].map(([path, text]) => [path.slice(PROJECT_TOOLS.length + 1), text]));
}

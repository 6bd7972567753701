import { GuildError, type PartNotice, type PartSource, type Sandbox, type Secrets, type SessionPart, type Tool } from "@guildhall/core";

import { oneLine } from "../foreign/line.ts";
import { McpConnection } from "./connection.ts";
import { ElicitationDesk } from "./elicitation.ts";
import { mcpHelperTools } from "./helper-tools.ts";
import { mcpLink } from "./mcp-link.ts";
import { mcpTools } from "./mcp-tools.ts";
import { type Sampler, SamplingDesk } from "./sampling.ts";
import { configDigest, type NamedMcpServer } from "./server-config.ts";

export interface McpPartOptions {
  workspace: string;
  sandbox: Promise<Sandbox>;
  version: string;
  /** The servers that count now; the same array until that has changed. Throws a GuildError for a file that cannot be read. */
  servers(): readonly NamedMcpServer[];
  /** Where tokens of servers that ask for a sign-in are kept. */
  secrets?(): Promise<Secrets>;
  /** A model for servers that ask for one; none: they are told that there is none. */
  sampler?: Sampler;
}

/** How long the first model call waits for servers to come up, milliseconds; later ones join when they are there. */
const PATIENCE_MS = 10_000;
/** Names of tools in one notice. */
const NAMED = 12;

/** The MCP servers of one session. Their tools come and go with the configuration, with the servers and with what they list. */
export class McpPart implements SessionPart {
  readonly name = "mcp";
  readonly #options: McpPartOptions;
  readonly #desk = new ElicitationDesk();
  readonly #sampling: SamplingDesk | undefined;
  readonly #sampleTools: readonly Tool[];
  readonly #joined = new Map<string, Joined>();
  readonly #notices: PartNotice[] = [];
  #servers: readonly NamedMcpServer[] = [];
  #tools: readonly Tool[] = [];
  #lastProblem = "";
  #closed = false;

  constructor(options: McpPartOptions) {
    this.#options = options;
    this.#sampling = options.sampler === undefined ? undefined : new SamplingDesk(options.sampler);
    this.#sampleTools = this.#sampling === undefined ? [] : [this.#sampling.tool()];
    // Without a sandbox there is nobody to speak to; who waits for it hears why.
    options.sandbox.catch(() => undefined);
    this.#follow();
  }

  tools(): readonly Tool[] {
    return this.#tools;
  }

  sources(): PartSource[] {
    return [...this.#joined.values()].map(({ server, pending, problem }) => ({
      name: server.kind === "tools" ? server.name : `mcp:${server.name}`,
      state: pending || problem !== "" ? "failed" : "on",
      detail: pending ? "it has not answered yet" : problem,
    }));
  }

  async beforeStep(): Promise<PartNotice[]> {
    this.#follow();
    await this.ready();
    return this.#notices.splice(0);
  }

  /** Resolves when every server is there or has failed, at most a while later. */
  async ready(): Promise<void> {
    const all = [...this.#joined.values()];
    const pending = all.filter((one) => one.pending && !one.waited);
    const enough = Promise.withResolvers<void>();
    const timer = setTimeout(enough.resolve, PATIENCE_MS);
    const settled = [...pending.map((one) => one.first), ...all.map((one) => one.connection.refreshed())];
    await Promise.race([Promise.all(settled), enough.promise]);
    clearTimeout(timer);
    // Each is waited for once.
    for (const one of pending) one.waited = true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#joined.values()].map((one) => one.connection.close()));
  }

  /** Brings what runs in line with the configuration. */
  #follow(): void {
    let servers: readonly NamedMcpServer[];
    try {
      servers = this.#options.servers();
      this.#lastProblem = "";
    } catch (error) {
      const { line } = GuildError.from(error);
      if (line !== this.#lastProblem) this.#say(`MCP servers as configured now cannot be read: ${line}`);
      this.#lastProblem = line;
      return;
    }
    if (servers === this.#servers) return;
    this.#servers = servers;
    const wanted = new Map(servers.filter(({ config }) => !config.disabled).map((server) => [configDigest(server), server]));
    for (const [digest, one] of this.#joined) {
      if (wanted.has(digest)) continue;
      this.#joined.delete(digest);
      // What it says at its end concerns nobody any more.
      one.connection.close().catch(() => undefined);
    }
    for (const [digest, server] of wanted) if (!this.#joined.has(digest)) this.#joined.set(digest, this.#join(server));
    this.#offer();
  }

  #join(server: NamedMcpServer): Joined {
    const { workspace, sandbox, version, secrets } = this.#options;
    const sampling = this.#sampling;
    const connection = new McpConnection({
      name: server.name,
      link: mcpLink({ server, sandbox, ...(secrets === undefined ? {} : { secrets }) }),
      timeoutMs: server.config.timeout_s * 1000,
      workspace,
      version,
      elicit: this.#desk.elicit,
      ...(sampling === undefined ? {} : { sample: (params) => sampling.answer(server.name, params) }),
      changed: () => this.#offer(),
    });
    const joined: Joined = { server, connection, tools: [], pending: true, waited: false, problem: "", first: Promise.resolve() };
    joined.first = connection.connect().then(
      () => {
        joined.pending = false;
        if (connection.refused.length > 0) {
          this.#say(`MCP server ${server.name}: tools that cannot be used are left out: ${oneLine(connection.refused.join(", "), 300)}`);
        }
        this.#offer();
      },
      (error: unknown) => {
        joined.pending = false;
        joined.problem = GuildError.from(error).line;
        if (!this.#closed) this.#say(`${GuildError.from(error).line}. Its tools are missing.`);
      },
    );
    return joined;
  }

  /** Makes the list of tools anew, and says what came and went. */
  #offer(): void {
    if (this.#closed) return;
    const all: Tool[] = [];
    for (const one of this.#joined.values()) {
      const { connection, server } = one;
      const { tools: only } = server.config;
      const options = {
        connection,
        desk: this.#desk,
        ...(this.#sampling === undefined ? {} : { sampling: this.#sampling }),
        remote: "url" in server.config,
        own: server.kind === "tools",
        ...(only === undefined ? {} : { only }),
      };
      if (one.listed !== connection.tools) {
        one.listed = connection.tools;
        one.tools = mcpTools(connection.tools, options).tools;
      }
      all.push(...one.tools);
    }
    const servers = [...this.#joined.values()].filter(({ server }) => server.kind !== "tools").map((one) => one.connection);
    if (servers.some(({ tools }) => tools.length > 0)) all.push(...mcpHelperTools(servers, this.#desk), ...this.#sampleTools);
    const before = new Set(this.#tools.map((tool) => tool.name));
    const now = new Set(all.map((tool) => tool.name));
    this.#announce(
      "Tools that have joined",
      all.filter((tool) => !before.has(tool.name) && tool.source !== "mcp"),
    );
    this.#announce(
      "Tools that are gone",
      this.#tools.filter((tool) => !now.has(tool.name) && tool.source !== "mcp"),
    );
    this.#tools = all;
  }

  #announce(what: string, tools: readonly Tool[]): void {
    if (tools.length === 0) return;
    const names = tools.slice(0, NAMED).map((tool) => tool.name);
    const more = tools.length > NAMED ? ` and ${tools.length - NAMED} more; find them with tool_search` : "";
    this.#say(`${what}: ${names.join(", ")}${more}.`);
  }

  #say(text: string): void {
    this.#notices.push({ kind: "tools", text });
  }
}

interface Joined {
  readonly server: NamedMcpServer;
  readonly connection: McpConnection;
  listed?: readonly unknown[];
  tools: readonly Tool[];
  /** Has neither connected nor failed yet. */
  pending: boolean;
  waited: boolean;
  /** Why it did not come up. */
  problem: string;
  first: Promise<void>;
}

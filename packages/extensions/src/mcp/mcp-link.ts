import { GuildError, type Sandbox, type Secrets } from "@guildhall/core";

import { expandVariables } from "../network/sandbox-variables.ts";
import { createSessionFetch, type SessionFetch } from "../network/session-fetch.ts";
import type { McpLink } from "./connection.ts";
import { SandboxTransport } from "./sandbox-transport.ts";
import type { NamedMcpServer } from "./server-config.ts";
import { signInFor } from "./sign-in-for.ts";
import { StoredSignIn } from "./stored-sign-in.ts";

export interface McpLinkOptions {
  server: NamedMcpServer;
  sandbox: Promise<Sandbox>;
  /** Where tokens of servers that ask for a sign-in are kept; none: they get none. */
  secrets?(): Promise<Secrets>;
}

/**
 * The way to a configured server: a program that runs inside the sandbox, or an address that is reached through the sandbox's way out. In headers
 * `${NAME}` stands for what programs in the sandbox see under that name: for a granted secret the placeholder, whose value is put in outside.
 */
export function mcpLink({ server, sandbox, secrets }: McpLinkOptions): McpLink {
  const { config } = server;
  if ("command" in config) {
    return {
      pipe: true,
      async open() {
        const { command, args, env, cwd } = config;
        const opened = await sandbox;
        const place = cwd === undefined ? {} : { cwd: cwd.startsWith("/") ? cwd : `${opened.workspace}/${cwd}` };
        await prepare(server, opened);
        const transport = new SandboxTransport({ sandbox: opened, argv: [command, ...args], env, ...place });
        return { transport, fault: () => transport.fault };
      },
    };
  }
  return {
    pipe: false,
    async open() {
      const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
      const url = new URL(config.url);
      const direct = config.network === "direct";
      const opened = await sandbox;
      const reach: SessionFetch = direct ? (to, init) => fetch(to, init) : createSessionFetch(opened);
      const authProvider = secrets === undefined ? undefined : await signInFor(server, secrets, reach);
      if (!direct && authProvider !== undefined && url.protocol !== "https:") {
        throw new GuildError("failed_precondition", "a token is sent over https only", { subject: config.url });
      }
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(config.headers)) headers[name] = direct ? value : await expandVariables(opened, value);
      const transport = new StreamableHTTPClientTransport(url, {
        fetch: reach,
        requestInit: { headers },
        ...(authProvider === undefined ? {} : { authProvider }),
        // A person's sign-in looks at it more closely; a program's credentials go to nobody who only calls himself their issuer.
        skipIssuerMetadataValidation: authProvider instanceof StoredSignIn && config.oauth?.issuer !== undefined,
      });
      return { transport };
    },
  };
}

/** Puts the files of a server where it looks for them; they may be there from its last start. */
async function prepare({ files, packages }: NamedMcpServer, sandbox: Sandbox): Promise<void> {
  for (const [path, text] of files ?? []) await sandbox.files.write(path, Buffer.from(text), { parents: true });
  if (packages === undefined) return;
  await sandbox.files.symlink(`${sandbox.workspace}/node_modules`, `${packages}/node_modules`).catch((error: unknown) => {
    if (!GuildError.is(error, "already_exists")) throw error;
  });
}

import { GuildError } from "@guildhall/core";

import type { Context } from "../client/context.ts";
import { exitCode } from "../exit.ts";
import { workspaceOf } from "./arguments.ts";
import { withConnection } from "./session.ts";

interface Options {
  workspace?: string;
  sandbox?: string;
  json?: boolean;
}

interface AddOptions extends Options {
  url?: string;
  direct?: boolean;
  header: string[];
  env: string[];
  timeout?: number;
}

/** `guild mcp list`. */
export function list(context: Context, options: Options): Promise<number> {
  return withConnection(context, async (connection) => {
    const { servers } = await connection.extensions.listMcpServers({ workspace: workspaceOf(context, options.workspace) });
    if (servers.length === 0 && options.json !== true) context.stdout.write("no MCP servers; add one: guild mcp add NAME -- COMMAND\n");
    for (const { name, origin, target, state, signedIn } of servers) {
      const note = `${origin}, ${state}${signedIn ? ", signed in" : ""}`;
      say(
        context,
        options,
        { id: name, type: "mcp_server", origin, target, state, signed_in: signedIn },
        `${name.padEnd(16)} ${target} (${note})`,
      );
    }
    return exitCode.done;
  });
}

/** `guild mcp add`: writes the operator's file, where `guild mcp remove` takes it out again. */
export function add(context: Context, name: string, command: string[], options: AddOptions): Promise<number> {
  // Everything after `--` is the program's own.
  const config = configOf(command[0] === "--" ? command.slice(1) : command, options);
  return withConnection(context, async (connection) => {
    const { file } = await connection.extensions.setMcpServer({ name, config: JSON.stringify(config) });
    say(
      context,
      options,
      { id: name, type: "mcp_server", file, config },
      `${name} is in ${file}; look at what it offers: guild mcp test ${name}`,
    );
    return exitCode.done;
  });
}

/** `guild mcp remove`. */
export function remove(context: Context, name: string, options: Options): Promise<number> {
  return withConnection(context, async (connection) => {
    const { file } = await connection.extensions.setMcpServer({ name, config: "" });
    say(context, options, { id: name, type: "mcp_server", file, removed: true }, `${name} is no longer in ${file}`);
    return exitCode.done;
  });
}

/** `guild mcp test`: exit code 1 when it cannot be used. */
export function test(context: Context, name: string, options: Options): Promise<number> {
  return withConnection(context, async (connection) => {
    const request = { workspace: workspaceOf(context, options.workspace), name, sandbox: options.sandbox ?? "" };
    const { server, protocolVersion, tools, resources, prompts, refused } = await connection.extensions.testMcpServer(request);
    const line = {
      id: name,
      type: "mcp_server",
      server,
      protocol: protocolVersion,
      tools: tools.map((tool) => ({ name: tool.name, description: tool.description })),
      resources,
      prompts,
      refused,
    };
    const text = [
      `${name}: ${server}, protocol ${protocolVersion}: ${tools.length} tools, ${resources.length} resources, ${prompts.length} prompts`,
      ...tools.map((tool) => `  ${tool.name}  ${tool.description}`),
      ...refused.map((one) => `  left out: ${one}`),
    ];
    say(context, options, line, text.join("\n"));
    return exitCode.done;
  });
}

/** `guild mcp login`: prints the address to open, waits until the person has been there. */
export function login(context: Context, name: string, options: Options): Promise<number> {
  return withConnection(context, async (connection) => {
    for await (const { url } of connection.extensions.loginMcpServer({ workspace: workspaceOf(context, options.workspace), name })) {
      if (url !== "") say(context, options, { id: name, type: "sign_in", url }, `Open this address to sign in at ${name}:\n${url}`);
    }
    say(context, options, { id: name, type: "sign_in", done: true }, `signed in at ${name}`);
    return exitCode.done;
  });
}

function configOf([command, ...args]: string[], options: AddOptions): Record<string, unknown> {
  const common = options.timeout === undefined ? {} : { timeout_s: options.timeout };
  if (options.url !== undefined) {
    if (command !== undefined) throw new GuildError("invalid_argument", "a server is a program or an address, not both");
    const headers = Object.fromEntries(options.header.map((one) => split(one, ":")));
    return {
      url: options.url,
      ...(options.direct === true ? { network: "direct" } : {}),
      ...(options.header.length > 0 ? { headers } : {}),
      ...common,
    };
  }
  if (command === undefined) {
    throw new GuildError("invalid_argument", "neither a program nor an address is given", {
      remedy: "guild mcp add NAME -- COMMAND ARGS…, or guild mcp add NAME --url URL",
    });
  }
  const env = Object.fromEntries(options.env.map((one) => split(one, "=")));
  return { command, ...(args.length > 0 ? { args } : {}), ...(options.env.length > 0 ? { env } : {}), ...common };
}

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return [text.slice(0, at), text.slice(at + 1).trim()];
}

function say(context: Context, options: Options, line: Record<string, unknown>, text: string): void {
  context.stdout.write(options.json === true ? `${JSON.stringify(line)}\n` : `${text}\n`);
}

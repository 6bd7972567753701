import { type Command, InvalidArgumentError, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

/** Commands about protocols that other programs speak: MCP servers and Guildhall as one, and the agent that editors drive. */
export function addProtocols(program: Command, context: Context, run: Run): void {
  program
    .command("acp")
    .description("be an agent for an editor that speaks the Agent Client Protocol, on standard input and output")
    .option("--model <spec>", "model of new sessions")
    .option("--yes", "run risky actions without asking")
    .action((options) => run(import("./commands/acp.ts").then((module) => module.serveAcp(context, options))));
  const mcp = program
    .command("mcp")
    .description("MCP servers whose tools sessions use; without a command: be one, on standard input and output")
    .enablePositionalOptions()
    .addOption(workspace())
    .action((options) => run(import("./commands/mcp-serve.ts").then((module) => module.serve(context, options))));
  const commands = () => import("./commands/mcp.ts");
  mcp
    .command("serve")
    .description("offer Guildhall's tools, in a sandbox over a directory, and its sessions to an MCP client")
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider")
    .option("--listen <addr>", "serve Streamable HTTP at this loopback address instead; a token is printed")
    .action((options) => run(import("./commands/mcp-serve.ts").then((module) => module.serve(context, options))));
  mcp
    .command("list")
    .description("the operator's servers and those of the project")
    .addOption(workspace())
    .addOption(json())
    .action((options) => run(commands().then((module) => module.list(context, options))));
  mcp
    .command("add <name> [command...]")
    .description("let all sessions use a server: a program, run inside their sandbox, or an address")
    .option("--url <url>", "Streamable HTTP, reached under the policy")
    .option("--direct", "reach the address from the daemon itself, past the policy: for servers of your own")
    .option("--header <name: value>", "sent with every request; may be repeated; ${NAME} is a granted secret", collect, [])
    .option("--env <name=value>", "variable of the program; may be repeated", pair, [])
    .option("--timeout <s>", "seconds for one call", seconds)
    .addOption(json())
    .action((name, command, options) => run(commands().then((module) => module.add(context, name, command, options))));
  mcp
    .command("remove <name>")
    .description("use it no more; its tools leave sessions that run")
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.remove(context, name, options))));
  mcp
    .command("test <name>")
    .description("connect from a fresh sandbox and show what it offers")
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider")
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.test(context, name, options))));
  mcp
    .command("login <name>")
    .description("sign in at a server that asks for it (OAuth); the token goes into the secrets store")
    .addOption(workspace())
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.login(context, name, options))));
}

const json = (): Option => new Option("--json", "print one JSON object a line");
const workspace = (): Option => new Option("--workspace <dir>", "directory to work in (default: the current one)");

function collect(value: string, former: string[]): string[] {
  if (!/^[A-Za-z0-9-]+:/.test(value)) throw new InvalidArgumentError("write NAME: VALUE");
  return [...former, value];
}

function pair(value: string, former: string[]): string[] {
  if (!/^[A-Za-z_]\w*=/.test(value)) throw new InvalidArgumentError("write NAME=VALUE");
  return [...former, value];
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0 || value > 3600) throw new InvalidArgumentError("give seconds, at most 3600");
  return value;
}

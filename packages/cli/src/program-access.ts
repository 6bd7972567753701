import { type Command, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

/** Commands about what sandboxes may reach and use: secrets, trust, network. */
export function addAccess(program: Command, context: Context, run: Run): void {
  addSecret(program, context, run);
  addTrust(program, context, run);
  program
    .command("network")
    .description("what may leave sandboxes")
    .command("show")
    .description("the policy that holds for a sandbox in a directory, and where it comes from")
    .addOption(new Option("--workspace <dir>", "directory (default: the current one)"))
    .addOption(json())
    .action((options) => run(import("./commands/network.ts").then((module) => module.showNetwork(context, options))));
}

function addSecret(program: Command, context: Context, run: Run): void {
  const secret = program.command("secret").description("credentials that sandboxes use without seeing them");
  const commands = () => import("./commands/secret.ts");
  secret
    .command("set <name>")
    .description("store a value, read from standard input or asked for; never from the command line")
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.set(context, name, options))));
  secret
    .command("list")
    .description("names and grants, never values")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.list(context, options))));
  secret
    .command("grant <name>")
    .description("let sandboxes use it: its value is put into requests to the host, outside of them")
    .requiredOption("--host <host>", '"api.example.com", or "*.example.com" for the names below it')
    .option("--method <method>", "only for this method; may be repeated", collect, [])
    .option("--path <path>", "only for this path; * stands for any text; may be repeated", collect, [])
    .option("--project <dir>", "only for sandboxes over this directory")
    .option("--session <id>", "only for this session")
    .option("--env <var>", "variable that holds the placeholder inside (default: the secret's name)")
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.grant(context, name, options))));
  secret
    .command("revoke <name>")
    .description("take back all grants of a secret, or one; sandboxes that run lose it at once")
    .option("--grant <id>", "only this grant")
    .option("--delete", "delete the value too")
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.revoke(context, name, options))));
}

function addTrust(program: Command, context: Context, run: Run): void {
  const trust = program
    .command("trust")
    .description("whether a project's own policy, hooks, tools, servers, roles and flake count; for exactly their present content");
  const commands = () => import("./commands/trust.ts");
  trust
    .command("show [dir]")
    .description("what there is, and whether it counts")
    .addOption(json())
    .action((dir, options) => run(commands().then((module) => module.show(context, dir, options))));
  trust
    .command("add [dir]")
    .description("let it count as it is now")
    .option("--digest <digest>", "only if it still has this digest, as shown")
    .addOption(json())
    .action((dir, options) => run(commands().then((module) => module.add(context, dir, options))));
  trust
    .command("revoke [dir]")
    .description("let it count no more")
    .addOption(json())
    .action((dir, options) => run(commands().then((module) => module.revoke(context, dir, options))));
}

const json = (): Option => new Option("--json", "print one JSON object a line");

function collect(value: string, former: string[]): string[] {
  return [...former, value];
}

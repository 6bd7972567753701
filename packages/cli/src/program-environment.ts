import { type Command, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

/** Commands about what commands of a session run in. */
export function addEnvironment(program: Command, context: Context, run: Run): void {
  const environment = program
    .command("env")
    .description("what commands of a session run in: tools, variables, and how the project is worked on");
  const commands = () => import("./commands/environment.ts");
  environment
    .command("show")
    .description("the environment that a session here would have: hash, source, tools, scripts, differences")
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.show(context, options))));
}

const json = (): Option => new Option("--json", "print one JSON object a line");
const workspace = (): Option => new Option("--workspace <dir>", "project (default: the current directory)");

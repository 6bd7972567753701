import { type Command, InvalidArgumentError, Option } from "commander";

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
  const changes = () => import("./commands/generation.ts");
  const place = (command: Command): Command =>
    command.addOption(workspace()).option("--sandbox <name>", "isolation provider").addOption(json());
  place(environment.command("set"))
    .description("build what the project declares now, check it, and make it the current generation; what fails changes nothing")
    .action((options) => run(changes().then((module) => module.set(context, options))));
  place(environment.command("rollback [generation]"))
    .description("make an earlier generation current (default: the one before); sessions that run switch at their next step")
    .action((generation, options) => run(changes().then((module) => module.rollBack(context, generation, options))));
  place(environment.command("history"))
    .description("the generations of this project's environment, oldest first")
    .action((options) => run(changes().then((module) => module.history(context, options))));
  place(environment.command("diff <from> <to>"))
    .description("what differs between two generations")
    .action((from, to, options) => run(changes().then((module) => module.diff(context, from, to, options))));
  place(environment.command("verify"))
    .description("resolve everything again and compare with the current generation; exit code 1 when it differs")
    .action((options) => run(changes().then((module) => module.verify(context, options))));
  place(environment.command("gc"))
    .description("forget old generations, and free what only they had in the Nix store")
    .option("--keep <n>", "how many of the newest stay", wholeNumber, 5)
    .action((options) => run(changes().then((module) => module.collect(context, options))));
  place(environment.command("copy"))
    .description("copy the current generation's store paths to a directory, or fetch them from one, for other workers")
    .option("--to <dir>", "write copies there; ssh://… puts them into that machine's store")
    .option("--from <dir>", "take copies from there")
    .action((options) => run(changes().then((module) => module.copy(context, options))));
  environment
    .command("init")
    .description("write a flake.nix with what the project declares")
    .option("--print", "print it instead")
    .addOption(workspace())
    .addOption(json())
    .action((options) => run(changes().then((module) => module.init(context, options))));
}

function wholeNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

const json = (): Option => new Option("--json", "print one JSON object a line");
const workspace = (): Option => new Option("--workspace <dir>", "project (default: the current directory)");

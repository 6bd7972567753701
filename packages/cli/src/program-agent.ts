import { type Command, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

const json = (): Option => new Option("--json", "print one JSON object a line");
const baseUrl = (): Option => new Option("--base-url <url>", "address of the model's server");

/** `guild model`: which models there are, and whether one works. */
export function addModels(program: Command, context: Context, run: Run): void {
  const model = program.command("model").description("model providers, servers on this machine, and whether a model works");
  const commands = () => import("./commands/model.ts");
  model
    .command("list")
    .description("providers with their keys, and what the servers on this machine serve")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.list(context, options))));
  model
    .command("presets")
    .description("commands that start each kind of server on this machine")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.presets(context, options))));
  model
    .command("test <spec>")
    .description("ask a model one question that takes a function call; exit code 1 when it makes none")
    .addOption(baseUrl())
    .addOption(json())
    .action((spec, options) => run(commands().then((module) => module.test(context, spec, options))));
}

/** What changes a session while it goes on. */
export function addSessionSteering(session: Command, context: Context, run: Run): void {
  session
    .command("model <id> <spec>")
    .description("another model from the session's next step on")
    .addOption(baseUrl())
    .addOption(json())
    .action((id, spec, options) => run(import("./commands/model.ts").then((module) => module.change(context, id, spec, options))));
  session
    .command("compare <a> <b>")
    .description("what two sessions have come to: files that differ, cost, end")
    .addOption(json())
    .action((a, b, options) => run(import("./commands/compare.ts").then((module) => module.compare(context, a, b, options))));
  session
    .command("gc")
    .description("free checkpoints that no session names any more")
    .addOption(json())
    .action((options) => run(import("./commands/compare.ts").then((module) => module.collect(context, options))));
  session
    .command("condense <id>")
    .description("replace old history by a summary before the session's next step")
    .addOption(json())
    .action((id, options) => run(import("./commands/model.ts").then((module) => module.condense(context, id, options))));
}

/** Options of `guild approval grant` that save a rule. */
export function addAlways(grant: Command): void {
  grant
    .option("--always", "save the exact rule too, after showing it: such actions are not asked about again")
    .addOption(new Option("--for <whom>", "with --always").choices(["session", "workspace"]).default("session"))
    .option("--yes", "with --always: save the rule without a further question");
}

/** `guild approval rules`. */
export function addRules(approval: Command, context: Context, run: Run): void {
  const rules = approval.command("rules").description("rules that --always has saved");
  const commands = () => import("./commands/approval.ts");
  rules
    .command("list")
    .description("what is not asked about any more, and where")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.listRules(context, options))));
  rules
    .command("remove <id>")
    .description("ask about such actions again")
    .action((id) => run(commands().then((module) => module.removeRule(context, id))));
}

import { type Command, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

/** Commands about what sessions have changed, and about what they serve. */
export function addResults(session: Command, context: Context, run: Run): void {
  const commands = () => import("./commands/results.ts");
  const json = (): Option => new Option("--json", "print one JSON object a line");
  session
    .command("diff <id>")
    .description("what the session has changed since its beginning, as git shows it")
    .option("--paths <path...>", "only these files and directories")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.diff(context, id, options))));
  session
    .command("apply <id>")
    .description("bring the session's changes into the workspace; files that you have changed too stay as they are")
    .option("--paths <path...>", "only these files and directories")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.apply(context, id, options))));
  session
    .command("discard <id>")
    .description("give up the session's changes that are not applied; the copy that it worked in goes")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.discard(context, id, options))));
  const ports = () => import("./commands/ports.ts");
  session
    .command("ports <id>")
    .description("what is listened on in the session's sandbox")
    .addOption(json())
    .action((id, options) => run(ports().then((module) => module.listPorts(context, id, options))));
  session
    .command("forward <id> <ports>")
    .description("let 127.0.0.1:LOCAL here lead to a port of the sandbox, until this is interrupted; [LOCAL:]REMOTE")
    .action((id, text) => run(ports().then((module) => module.forwardPort(context, id, text))));
}

import { type Command, InvalidArgumentError, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

/** Commands about services, workers, and work that waits for them. */
export function addPool(program: Command, context: Context, run: Run): void {
  program
    .command("serve <name...>")
    .description("run services in this process: gateway, orchestrator, worker, models, knowledge")
    .option("--config <file>", "settings to use instead of settings.toml")
    .option("--listen <addr>", "host:port to listen on (default: one of 7400 to 7404 on loopback, by service)")
    .option("--join <addr>", "orchestrators to join: host:port, several separated by commas")
    .action((names: string[], options) => run(import("./commands/serve.ts").then((module) => module.serve(context, names, options))));
  addTasks(program, context, run);
  const certs = program.command("certs").description("certificates of services, from a private authority");
  const certificates = () => import("./commands/serve.ts");
  certs
    .command("init")
    .description("make the authority, in the settings directory")
    .action(() => run(certificates().then((module) => module.certificates(context, { do: "init" }))));
  certs
    .command("issue <name>")
    .description("make a service's certificate: the directory for its setting services.certs is printed")
    .option("--host <host>", "name or address under which it is reached; may be repeated", collect, [])
    .option("--out <dir>", "directory to write to")
    .option("--days <n>", "how long it is good", amount, 365)
    .action((name: string, options) =>
      run(certificates().then((module) => module.certificates(context, { do: "issue", name, ...options }))),
    );
  certs
    .command("join-token <name>")
    .description("print a token with which a worker elsewhere gets its certificate, once (its setting services.join_token)")
    .option("--host <host>", "name or address under which it is reached, if it is; may be repeated", collect, [])
    .option("--minutes <n>", "how long the token is good", amount, 60)
    .option("--days <n>", "how long the certificate is good", amount, 365)
    .action((name: string, options) =>
      run(certificates().then((module) => module.certificates(context, { do: "join-token", name, ...options }))),
    );
  const pool = program.command("pool").description("workers");
  const commands = () => import("./commands/pool.ts");
  pool
    .command("list")
    .description("every worker with its capacity, load and tasks")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.listWorkers(context, options))));
  pool
    .command("drain <worker>")
    .description("let it take nothing new and give back what it has at step boundaries")
    .addOption(json())
    .action((worker, options) => run(commands().then((module) => module.drainWorker(context, worker, options))));
  const budget = program.command("budget").description("limits above those of single sessions");
  budget
    .command("set <path>")
    .description("limits of an organisation or project (org, org/project); what is not named has none")
    .option("--steps <n>", "steps", amount)
    .option("--tokens <n>", "tokens, read and written", amount)
    .option("--usd <n>", "US dollars", amount)
    .option("--seconds <n>", "seconds of model time", amount)
    .addOption(json())
    .action((path, options) => run(commands().then((module) => module.setBudget(context, path, options))));
  budget
    .command("show [path]")
    .description("limits, what is spent, and what calls under way hold")
    .addOption(json())
    .action((path, options) => run(commands().then((module) => module.showBudgets(context, path, options))));
}

function addTasks(program: Command, context: Context, run: Run): void {
  const task = program.command("task").description("work that waits for a worker");
  const commands = () => import("./commands/task.ts");
  task
    .command("submit <goal>")
    .description("queue one task; its id is printed")
    .option("--workspace <dir>", "directory to work in, seen by workers under the same path (default: the current one)")
    .option("--git <url>", "work in a clone of this repository instead")
    .option("--ref <name>", "branch, tag or commit of --git")
    .option("--push <branch>", "push the result to this branch of --git")
    .option("--upload", "send the workspace's files along, for workers that do not see it; guild task result brings back what has changed")
    .option("--model <spec>", "as for guild run")
    .option("--base-url <url>", "URL of an OpenAI-compatible server")
    .option("--sandbox <name>", "isolation provider")
    .option("--max-steps <n>", "stop after that many steps", amount)
    .option("--yes", "run risky actions without asking")
    .option("--priority <n>", "0 (whenever) to 100 (now)", amount, 50)
    .option("--project <path>", "project whose budget it counts against: org/project")
    .option("--cpu <n>", "CPU cores", amount)
    .option("--memory <mib>", "memory, MiB", amount)
    .option("--disk <mib>", "what it may add to the file system of its workspace, MiB", amount)
    .option("--role <name>", "role that the worker must serve")
    .option("--label <k=v>", "label that the worker must have; may be repeated", collect, [])
    .option("--attempts <n>", "workers that may be lost before it fails (default: 3)", amount)
    .option("--deadline <seconds>", "cancelled when it has not ended by then", amount)
    .option("--wait", "wait for its end; the exit code tells it")
    .addOption(json())
    .action((goal, options) => run(commands().then((module) => module.submit(context, goal, options))));
  task
    .command("graph <file>")
    .description("queue a graph of tasks from a JSON file: a list of tasks with name, goal and after; - reads standard input")
    .option("--wait", "wait for the end of all; the exit code tells whether all succeeded")
    .addOption(json())
    .action((file, options) => run(commands().then((module) => module.graph(context, file, options))));
  task
    .command("list")
    .description("newest first")
    .option("--limit <n>", "at most that many", amount, 50)
    .option("--unfinished", "only those that have not ended")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.list(context, options))));
  task
    .command("show <id>")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.show(context, id, options))));
  task
    .command("result <id>")
    .description("what a task has changed: the files, a patch, or applied here")
    .option("--patch [file]", "write a patch that git apply takes (default: to standard output)")
    .option("--apply", "apply it to --workspace")
    .option("--workspace <dir>", "directory to apply it to (default: the current one)")
    .addOption(json())
    .action((id, options) => run(import("./commands/task-files.ts").then((module) => module.result(context, id, options))));
  task
    .command("cancel <id>")
    .description("with everything that depends on it")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.cancel(context, id, options))));
  task
    .command("priority <id> <n>")
    .description("0 (whenever) to 100 (now)")
    .addOption(json())
    .action((id, priority: string, options) =>
      run(commands().then((module) => module.setPriority(context, id, amount(priority), options))),
    );
}

const json = (): Option => new Option("--json", "print one JSON object a line");

function amount(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError("give a number from 0 up");
  return Number(text);
}

function collect(value: string, former: string[]): string[] {
  return [...former, value];
}

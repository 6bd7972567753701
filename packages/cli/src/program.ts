import { GuildError } from "@guildhall/core";
import { VERSION } from "@guildhall/core/paths";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

import type { Context } from "./client/context.ts";
import { exitCode, exitOfError } from "./exit.ts";
import { addAccess } from "./program-access.ts";
import { addAlways, addModels, addRules, addSessionSteering } from "./program-agent.ts";
import { addEnvironment } from "./program-environment.ts";
import { addKnowledge } from "./program-knowledge.ts";
import { addPool } from "./program-pool.ts";
import { addProtocols } from "./program-protocols.ts";
import { addResults } from "./program-results.ts";

/** Parses the command line, runs the one command that it names, and resolves to the exit code. Code of a command is loaded when it is named. */
export async function runProgram(args: string[], context: Context): Promise<number> {
  let code: number = exitCode.done;
  const run = (command: Promise<number>): Promise<void> => command.then((result) => void (code = result));
  const program = buildProgram(context, run);
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.done : exitCode.usage;
    const own = GuildError.from(error);
    const { reportError } = await import("./output/report-error.ts");
    reportError(own, context, args.includes("--json"));
    return exitOfError(own);
  }
}

type Run = (command: Promise<number>) => Promise<void>;

function buildProgram(context: Context, run: Run): Command {
  const program = new Command("guild")
    .description("A self-hosted workshop of AI software engineers.")
    .version(VERSION)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text.replace(/^error: /, "guild: ")),
    })
    .showHelpAfterError("(guild --help lists the commands)")
    .addHelpText("after", `\nExit codes: 0 done, 1 gave up or failed, 2 usage, 3 limit reached, 4 needs approval, 130 interrupted.`);
  addRun(program, context, run);
  addSession(program, context, run);
  addApprovals(program, context, run);
  addTools(program, context, run);
  addAccess(program, context, run);
  addEnvironment(program, context, run);
  addKnowledge(program, context, run);
  addModels(program, context, run);
  addProtocols(program, context, run);
  addPool(program, context, run);
  addDaemon(program, context, run);
  return program;
}

const json = (): Option => new Option("--json", "print one JSON object a line");
const workspace = (): Option => new Option("--workspace <dir>", "directory to work in (default: the current one)");

function addWorkOptions(command: Command): Command {
  return command
    .option("--model <spec>", "provider/model, a|b for the first that answers, scripted:FILE or replay:FILE")
    .option("--base-url <url>", "URL of an OpenAI-compatible server")
    .option("--max-steps <n>", "stop after that many steps", positiveInteger)
    .option("--max-tokens <n>", "stop after that many tokens", positiveInteger)
    .option("--max-seconds <n>", "stop after that many seconds", positiveInteger)
    .option("--budget <usd>", "stop after that many US dollars", positiveNumber)
    .addOption(json());
}

function addRun(program: Command, context: Context, run: Run): void {
  addWorkOptions(program.command("run").description("work on a goal until it is reached").argument("<goal>"))
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider (default: the setting sandbox.provider)")
    .option("--yes", "run risky actions without asking")
    .option("--review", "work in a copy: nothing changes here before guild session apply")
    .action((goal, options) => run(import("./commands/run.ts").then((module) => module.run(context, goal, options))));
}

function addSession(program: Command, context: Context, run: Run): void {
  const session = program.command("session").description("list, follow, steer, rewind and export sessions");
  const commands = () => import("./commands/session.ts");
  session
    .command("list")
    .description("newest first")
    .addOption(workspace())
    .option("--limit <n>", "at most that many", positiveInteger, 50)
    .addOption(json())
    .action((options) => run(commands().then((module) => module.list(context, options))));
  session
    .command("show <id>")
    .description("state, model, cost and last result of one session")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.show(context, id, options))));
  session
    .command("events <id>")
    .description("the session's events")
    .option("--from <seq>", "first sequence wanted", positiveInteger, 1)
    .option("--follow", "go on with those to come")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.events(context, id, options))));
  addWorkOptions(session.command("resume <id>").description("take up a session that nobody works on, or attach to one that runs")).action(
    (id, options) => run(import("./commands/run.ts").then((module) => module.resume(context, id, options))),
  );
  session
    .command("send <id> <text>")
    .description("say something to the agent; it reads it at its next step")
    .addOption(json())
    .action((id, text, options) => run(commands().then((module) => module.send(context, id, text, options))));
  session
    .command("interrupt <id>")
    .description("stop the session now")
    .option("--pause", "stop at the next safe point instead: actions under way finish")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.interrupt(context, id, options))));
  addHistory(session, context, run);
  addSessionSteering(session, context, run);
  addResults(session, context, run);
}

function addHistory(session: Command, context: Context, run: Run): void {
  const commands = () => import("./commands/history.ts");
  session
    .command("export <id>")
    .description("the whole session as JSON lines, to stdout or a file")
    .option("-o, --output <file>", "file to write")
    .action((id, options) => run(commands().then((module) => module.exportSession(context, id, options))));
  session
    .command("replay <file>")
    .description("run an exported session again over its recorded results and compare the logs")
    .addOption(json())
    .action((file, options) => run(commands().then((module) => module.replay(context, file, options))));
  session
    .command("fork <id>")
    .description("a new session with the history up to an event and the files of its checkpoint")
    .requiredOption("--at <seq>", "last event that the fork keeps", positiveInteger)
    .option("--workspace <dir>", "empty or new directory for the fork's files (default: one of Guildhall's)")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.fork(context, id, options))));
  session
    .command("rewind <id>")
    .description("put history and files back to an event; the present is kept as a checkpoint")
    .requiredOption("--to <seq>", "last event that counts", positiveInteger)
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.rewind(context, id, options))));
}

function addApprovals(program: Command, context: Context, run: Run): void {
  const approval = program.command("approval").description("actions that wait for a person");
  const commands = () => import("./commands/approval.ts");
  approval
    .command("list")
    .description("what waits, in all sessions")
    .addOption(workspace())
    .addOption(json())
    .action((options) => run(commands().then((module) => module.list(context, options))));
  approval
    .command("show <id>")
    .description("the exact action, why it is asked about, and the rule that would allow it")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.show(context, id, options))));
  for (const [name, granted, what] of [
    ["grant", true, "run that one action; the session goes on"],
    ["deny", false, "do not run it; the agent is told"],
  ] as const) {
    const command = approval.command(`${name} <id>`).description(what).option("--comment <text>", "told to the agent").addOption(json());
    if (granted) addAlways(command);
    command.action((id, options) => run(commands().then((module) => module.decide(context, id, granted, options))));
  }
  addRules(approval, context, run);
}

function addTools(program: Command, context: Context, run: Run): void {
  const tool = program.command("tool").description("the agent's tools, without a model");
  const commands = () => import("./commands/tool.ts");
  tool
    .command("list")
    .description("tools of every session, those that this workspace brings, and where they come from")
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.listTools(context, options))));
  tool
    .command("call [name]")
    .description("call a tool in a sandbox, or run a JSON list of calls in one session; exit code 1 when a call failed")
    .option("--args <json>", "arguments as a JSON object", "{}")
    .option("--script <file>", 'JSON list of {"name": …, "args": {…}}; - reads standard input')
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider")
    .addOption(json())
    .action((name, options) => run(commands().then((module) => module.callTools(context, name, options))));
  program
    .command("sandbox")
    .enablePositionalOptions()
    .description("sandboxes without an agent")
    .command("exec <command> [args...]")
    .description("run a command in a fresh sandbox; its exit code is passed through")
    .addOption(workspace())
    .option("--sandbox <name>", "isolation provider")
    .option(
      "--limit <k=v>",
      "cpu_seconds, memory_bytes, processes, file_bytes, wall_seconds, open_files, disk_bytes, disk_files; may be repeated",
      collect,
      [],
    )
    .passThroughOptions()
    .action((command: string, args: string[], options) =>
      run(import("./commands/sandbox.ts").then((module) => module.exec(context, [command, ...args], options))),
    );
}

function addDaemon(program: Command, context: Context, run: Run): void {
  const commands = () => import("./commands/daemon.ts");
  program
    .command("up")
    .description("start the daemon")
    .option("--listen <addr>", "listen on this TCP address too; a token is demanded there")
    .option("--foreground", "stay in the foreground")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.up(context, options))));
  program
    .command("down")
    .description("stop the daemon; running sessions stop at a safe point and can be resumed")
    .option("--now", "do not wait for safe points")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.down(context, options))));
  program
    .command("doctor")
    .description("what is there, what is missing, and the remedy")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.doctor(context, options))));
  program
    .command("config")
    .description("settings")
    .command("show")
    .description("every setting, its value, where it comes from and what it means")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.configShow(context, options))));
  const db = program.command("db").description("portable copy of the database");
  db.command("export")
    .option("-o, --output <file>", "file to write (default: stdout)")
    .action((options) => run(commands().then((module) => module.databaseExport(context, options))));
  db.command("import <file>")
    .description("read a copy; sessions that are there already stay as they are")
    .addOption(json())
    .action((file, options) => run(commands().then((module) => module.databaseImport(context, file, options))));
}

function positiveInteger(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || Number(text) > 4_294_967_295)
    throw new InvalidArgumentError("give a whole number from 1 up");
  return Number(text);
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError("give a number above 0");
  return value;
}

function collect(value: string, former: string[]): string[] {
  return [...former, value];
}

import { type Command, InvalidArgumentError, Option } from "commander";

import type { Context } from "./client/context.ts";

type Run = (command: Promise<number>) => Promise<void>;

/** Commands about what the workshop knows. */
export function addKnowledge(program: Command, context: Context, run: Run): void {
  const knowledge = program.command("knowledge").description("what sessions have learned, with where it comes from");
  knowledge
    .command("eval")
    .description("measure retrieval on files of documents, queries and judgements: one line an arm (lexical, dense, mix)")
    .requiredOption("--docs <file>", 'JSON lines {"id","text","title"?,"thread"?,"order"?,"at"?}, may be gzipped')
    .requiredOption("--queries <file>", 'JSON lines {"id","text"}')
    .requiredOption("--qrels <file>", "lines of query, document and grade with tabs between")
    .option("--k <n>", "how many of the found count", positiveInteger, 10)
    .addOption(json())
    .action((options) => run(import("./commands/knowledge-eval.ts").then((module) => module.evaluate(context, options))));
  addItems(knowledge, context, run);
  addHistory(knowledge, context, run);
  addState(knowledge, context, run);
}

function addItems(knowledge: Command, context: Context, run: Run): void {
  const commands = () => import("./commands/knowledge.ts");
  scoped(knowledge.command("add <text>").description("store a fact (- reads it from standard input), or with --id a new version of one"))
    .option("--id <id>", "item that gets a new version")
    .option("--title <title>", "a few words")
    .option("--key <key>", "what it is about; two valid facts of one scope and key are in conflict")
    .option("--tag <tag>", "may be repeated", collect, [])
    .option("--evidence <file>", "file that it rests on, or file:first-last; may be repeated", collect, [])
    .option("--url <url>", "page that it rests on; may be repeated", collect, [])
    .option("--confidence <n>", "0 to 1 (default: 0.8)", share)
    .option("--pin", "never set it apart")
    .option("--valid-from <time>", "since when it holds")
    .option("--valid-to <time>", "until when it holds")
    .addOption(json())
    .action((text, options) => run(commands().then((module) => module.add(context, text, options))));
  scoped(knowledge.command("search <query>").description("what is known, best first"))
    .option("--limit <n>", "at most that many", positiveInteger, 10)
    .option("--tag <tag>", "only with this tag; may be repeated", collect, [])
    .option("--as-of <time>", "as it was known then")
    .option("--why", "the parts of each rank")
    .addOption(json())
    .action((query, options) => run(commands().then((module) => module.search(context, query, options))));
  knowledge
    .command("show <id>")
    .description("one item with what it rests on")
    .option("--version <n>", "as it was in that version", positiveInteger)
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.show(context, id, options))));
  knowledge
    .command("forget <id>")
    .description("end an item; its history stays, and it can be brought back for a while")
    .option("--reason <text>", "why")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.forget(context, id, options))));
  knowledge
    .command("restore <id>")
    .description("bring back what was forgotten or set apart")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.restore(context, id, options))));
  knowledge
    .command("feedback <id> <kind>")
    .description("used, confirmed, dismissed, pinned or unpinned")
    .addOption(new Option("--workspace <dir>", "project for which (default: the current directory)"))
    .addOption(json())
    .action((id, kind, options) => run(commands().then((module) => module.feedback(context, id, kind, options))));
  knowledge
    .command("why <id>")
    .description("why it ranks and stays as it does, or when it goes")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.why(context, id, options))));
}

function addHistory(knowledge: Command, context: Context, run: Run): void {
  const commands = () => import("./commands/knowledge.ts");
  knowledge
    .command("history <id>")
    .description("all versions, newest first")
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.history(context, id, options))));
  knowledge
    .command("diff <id>")
    .description("what differs between two versions")
    .option("--from <n>", "version (default: the one before)", positiveInteger)
    .option("--to <n>", "version (default: the present one)", positiveInteger)
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.diff(context, id, options))));
  knowledge
    .command("as-of <id> <time>")
    .description("an item as it was known at that time")
    .addOption(json())
    .action((id, time: string, options: object) => run(commands().then((module) => module.show(context, id, { ...options, asOf: time }))));
  knowledge
    .command("revert <id>")
    .description("make an earlier version the present one, as a new version")
    .requiredOption("--to <n>", "version", positiveInteger)
    .addOption(json())
    .action((id, options) => run(commands().then((module) => module.revert(context, id, options))));
  knowledge
    .command("conflicts")
    .description("what contradicts or repeats another, and how it was settled")
    .option("--all", "settled ones too")
    .option("--settle <id>", "settle this one")
    .option("--strategy <name>", "newest, most_trusted, keep_both or per_field (default: the setting knowledge.conflicts)")
    .option("--winner <id>", "item that stays")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.conflicts(context, options))));
}

function addState(knowledge: Command, context: Context, run: Run): void {
  const commands = () => import("./commands/knowledge-state.ts");
  const copies = () => import("./commands/knowledge.ts");
  knowledge
    .command("sync [address]")
    .description("exchange with another Guildhall (default: those of the setting knowledge.remotes)")
    .addOption(json())
    .action((address, options) => run(commands().then((module) => module.sync(context, address, options))));
  knowledge
    .command("stats")
    .description("how much is known, where its vectors are, what the embedding cache saved, and who has what")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.stats(context, options))));
  knowledge
    .command("rebuild")
    .description("make the vectors anew from the stored facts")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.rebuild(context, options))));
  knowledge
    .command("tidy")
    .description("join what several sessions learned alike and set apart what is worth least, as is done once a day")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.tidy(context, options))));
  knowledge
    .command("privacy-report")
    .description("what was held back between sessions and what is shared, and why; never what was found")
    .option("--session <id>", "only of this session")
    .addOption(json())
    .action((options) => run(commands().then((module) => module.privacyReport(context, options))));
  scoped(knowledge.command("export").description("all versions as JSON lines, to stdout or a file"))
    .option("-o, --output <file>", "file to write")
    .action((options) => run(copies().then((module) => module.exportKnowledge(context, options))));
  knowledge
    .command("import <file>")
    .description("take a copy in; what is known already changes nothing")
    .addOption(json())
    .action((file, options) => run(copies().then((module) => module.importKnowledge(context, file, options))));
}

function scoped(command: Command): Command {
  return command
    .option("--scope <kind>", "user, project, team or global (default: project, of the current directory)")
    .option("--team <name>", "with --scope team")
    .addOption(new Option("--workspace <dir>", "directory of the project (default: the current one)"));
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 1)) throw new InvalidArgumentError("give a number from 0 to 1");
  return value;
}

function collect(value: string, former: string[]): string[] {
  return [...former, value];
}

const json = (): Option => new Option("--json", "print one JSON object a line");

function positiveInteger(text: string): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError("give a whole number from 1 up");
  return Number(text);
}

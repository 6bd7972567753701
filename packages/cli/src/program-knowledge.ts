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
}

const json = (): Option => new Option("--json", "print one JSON object a line");

function positiveInteger(text: string): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError("give a whole number from 1 up");
  return Number(text);
}

/** Runs the corpus as whoever starts it: options as JSON in the first argument, a line of JSON a row. */
import { type CorpusOptions, runCorpus } from "./corpus.ts";

await runCorpus(JSON.parse(process.argv[2] ?? "{}") as CorpusOptions, (row) => void process.stdout.write(`${JSON.stringify(row)}\n`));

/** Runs the corpus as whoever starts it: options as JSON in the first argument, a line of JSON a row. */
import { type CorpusOptions, type Row, runCorpus } from "./corpus.ts";
import { productAttacks } from "./product-attacks.ts";
import { runProduct } from "./product.ts";
import { runTimed } from "./timed.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as CorpusOptions;
const tell = (row: Row): void => void process.stdout.write(`${JSON.stringify(row)}\n`);
if (options.part === "sandbox") {
  await runCorpus(options, tell);
  await runTimed(options, tell);
} else await runProduct(productAttacks, options, tell);

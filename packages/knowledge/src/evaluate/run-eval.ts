import { type Embedder, GuildError, type VectorIndex } from "@guildhall/core";

import type { RetrievalDocument } from "../retrieval/document.ts";
import { type ArmReport, evaluate } from "./evaluate.ts";
import { readDocuments, readJudgements, readQueries } from "./read-collection.ts";

export interface RunEvalOptions {
  /** Paths of the three files. */
  docs: string;
  queries: string;
  qrels: string;
  /** Default 10. */
  k?: number;
  /** JSON lines, one an arm; otherwise a table for people. */
  json?: boolean;
  /** Without the two there is the lexical arm alone. Wrap the embedder in `cachedEmbedder`. */
  embedder?: Embedder;
  vectors?: VectorIndex;
}

/** `guild knowledge eval`: reads the collection, measures every arm, writes one line each. */
export async function runEval(options: RunEvalOptions, write: (line: string) => void): Promise<ArmReport[]> {
  const { k = 10, embedder, vectors } = options;
  if (!Number.isInteger(k) || k < 1) throw new GuildError("invalid_argument", `k must be a whole number from 1, not ${k}`);
  const [queries, judgements] = await Promise.all([readQueries(options.queries), readJudgements(options.qrels)]);
  const documents: RetrievalDocument[] = [];
  for await (const document of readDocuments(options.docs)) documents.push(document);
  if (documents.length === 0) throw new GuildError("invalid_argument", "there is no document", { subject: options.docs });
  const reports = await evaluate({
    documents,
    queries,
    judgements,
    k,
    ...(embedder === undefined || vectors === undefined ? {} : { embedder, vectors }),
  });
  if (reports[0]?.queries === 0) {
    throw new GuildError("invalid_argument", "no query has a judgement", {
      subject: options.qrels,
      remedy: "check that its ids are those of the queries",
    });
  }
  if (options.json !== true)
    write(`${"arm".padEnd(8)} ${["recall", "ndcg", "mrr", "p50 ms", "p99 ms"].map((name) => name.padStart(8)).join("")}`);
  for (const report of reports) write(options.json === true ? JSON.stringify(report) : row(report));
  return reports;
}

function row(report: ArmReport): string {
  const { arm, recall, ndcg, mrr, p50_ms, p99_ms } = report;
  return `${arm.padEnd(8)} ${[recall, ndcg, mrr].map((value) => value.toFixed(3).padStart(8)).join("")}${[p50_ms, p99_ms].map((value) => value.toFixed(1).padStart(8)).join("")}`;
}

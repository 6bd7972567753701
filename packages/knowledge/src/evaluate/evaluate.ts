import type { Embedder, VectorIndex } from "@guildhall/core";

import type { RetrievalDocument } from "../retrieval/document.ts";
import { profileOf } from "../retrieval/fields.ts";
import { type Arm, HybridIndex } from "../retrieval/hybrid-index.ts";
import { average, ndcg, percentile, recall, reciprocalRank } from "./measures.ts";

export interface EvalQuery {
  id: string;
  text: string;
}

/** Grade by document, by query; above 0 is relevant. */
export type Judgements = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** One arm's figures over all judged queries; `recall`, `ndcg` and `mrr` at k. The times are of the search without the query's embedding. */
export interface ArmReport {
  arm: Arm;
  recall: number;
  ndcg: number;
  mrr: number;
  p50_ms: number;
  p99_ms: number;
  queries: number;
}

export interface EvaluateOptions {
  documents: readonly RetrievalDocument[];
  queries: readonly EvalQuery[];
  judgements: Judgements;
  /** Default 10. */
  k?: number;
  /** Without the two there is the lexical arm alone. The queries' vectors must come from a cache (`cachedEmbedder`) for the times to be those of searching. */
  embedder?: Embedder;
  vectors?: VectorIndex;
  denseWeight?: number;
}

/** Indexes the documents as the product does and asks every judged query of each arm. */
export async function evaluate(options: EvaluateOptions): Promise<ArmReport[]> {
  const { documents, judgements, embedder, vectors, k = 10 } = options;
  const index = new HybridIndex({
    profile: profileOf(documents),
    ...(embedder === undefined || vectors === undefined ? {} : { embedder, vectors }),
    ...(options.denseWeight === undefined ? {} : { denseWeight: options.denseWeight }),
  });
  index.add(documents);
  await index.settled();
  const judged = options.queries.filter((query) => [...(judgements.get(query.id)?.values() ?? [])].some((grade) => grade > 0));
  await embedder?.embed(judged.map((query) => index.asked(query.text)));
  const arms: Arm[] = embedder === undefined || vectors === undefined ? ["lexical"] : ["lexical", "dense", "mix"];
  const reports: ArmReport[] = [];
  for (const arm of arms) reports.push(await measure(index, arm, judged, judgements, k));
  return reports;
}

async function measure(index: HybridIndex, arm: Arm, queries: readonly EvalQuery[], judgements: Judgements, k: number): Promise<ArmReport> {
  const found = { recall: [] as number[], ndcg: [] as number[], mrr: [] as number[], ms: [] as number[] };
  for (const query of queries) {
    const grades = judgements.get(query.id) ?? new Map<string, number>();
    const start = performance.now();
    const { hits } = await index.search(query.text, { limit: k, arm });
    found.ms.push(performance.now() - start);
    const ids = hits.map((hit) => hit.id);
    found.recall.push(recall(ids, grades));
    found.ndcg.push(ndcg(ids, grades, k));
    found.mrr.push(reciprocalRank(ids, grades));
  }
  return {
    arm,
    recall: average(found.recall),
    ndcg: average(found.ndcg),
    mrr: average(found.mrr),
    p50_ms: percentile(found.ms, 50),
    p99_ms: percentile(found.ms, 99),
    queries: queries.length,
  };
}

/**
 * How well search finds what is judged to be right, in the collections below `KNOWLEDGE_DATA=<folder>`: `scifact/` and `cosqa/` as they are published, and
 * every folder with files as `guild knowledge eval` takes them (`<name>.docs.jsonl[.gz]`, `<name>.queries.jsonl`, `<name>.qrels.tsv`), where each
 * question is asked of its own collection and all of a folder are one table. `KNOWLEDGE_CACHE=<folder>` keeps the embeddings, which take minutes.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";

import { type ArmReport, cachedEmbedder, openVectorIndex, openVectorStore, runEval, useLiteEmbedder } from "@guildhall/knowledge";

import { type Figure, table } from "../table.ts";

interface Collection {
  docs: string;
  queries: string;
  qrels: string;
}

const GOALS: Readonly<Record<string, string>> = { "scifact ndcg": "≥ 0.69", "cosqa mrr": "≥ 0.45", "locomo recall": "≥ 0.76" };

const { KNOWLEDGE_DATA: data, KNOWLEDGE_CACHE: cache } = process.env;
if (data === undefined) {
  console.log("### Collections\n\nKNOWLEDGE_DATA names the folder of the judged collections; without it they are left out.\n");
} else await measure(data);

async function measure(folder: string): Promise<void> {
  const made = mkdtempSync(join(tmpdir(), "guild-bench-"));
  const inner = useLiteEmbedder();
  const embedder = cachedEmbedder(inner, { store: await openVectorStore(cache ?? join(made, "vectors"), inner.model), entries: 50_000 });
  try {
    for (const [name, collections] of sets(folder, made)) {
      const reports: ArmReport[][] = [];
      for (const files of collections) {
        const vectors = await openVectorIndex(inner.model);
        reports.push(await runEval({ ...files, embedder, vectors }, () => undefined));
        await vectors.close();
      }
      const questions = reports.reduce((sum, [first]) => sum + (first?.queries ?? 0), 0);
      console.log(table(`${name}: ${questions} questions, k 10, ${inner.model.id}`, figures(name, reports)));
    }
  } finally {
    await embedder.close();
    rmSync(made, { recursive: true });
  }
}

/** The average of each question, arm by arm. */
function figures(name: string, reports: readonly ArmReport[][]): Figure[] {
  return (reports[0] ?? []).flatMap(({ arm }, at) =>
    (["recall", "ndcg", "mrr"] as const).map((measure) => {
      const all = reports.flatMap((one) => one[at] ?? []);
      const value = all.reduce((sum, one) => sum + one[measure] * one.queries, 0) / all.reduce((sum, one) => sum + one.queries, 0);
      const goal = arm === "dense" ? undefined : GOALS[`${name} ${measure}`];
      return { name: `${arm} ${measure}`, value, unit: "", ...(goal === undefined ? {} : { goal }) };
    }),
  );
}

function sets(folder: string, made: string): Map<string, Collection[]> {
  const found = new Map<string, Collection[]>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()) {
    const path = join(folder, file);
    const directory = dirname(path);
    const known = (name: string) => join(directory, name);
    const name = directory.slice(directory.lastIndexOf("/") + 1);
    if (file.endsWith("corpus.jsonl.gz")) found.set(name, [scifact(known, join(made, name))]);
    else if (file.endsWith("code_idx_map.txt.gz")) found.set(name, [cosqa(known, join(made, name))]);
    const own = /^(.+)\.docs\.jsonl(?:\.gz)?$/.exec(path)?.[1];
    if (own === undefined || !existsSync(`${own}.qrels.tsv`)) continue;
    found.set(name, [...(found.get(name) ?? []), { docs: path, queries: `${own}.queries.jsonl`, qrels: `${own}.qrels.tsv` }]);
  }
  return found;
}

/** Abstracts and claims as their authors publish them: `_id` in place of `id`. */
function scifact(file: (name: string) => string, to: string): Collection {
  const lines = (text: string) =>
    text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { _id: string; title?: string; text: string })
      .map(({ _id, title, text }) => ({ id: _id, text, ...(title === undefined ? {} : { title }) }));
  const docs = lines(gunzipSync(readFileSync(file("corpus.jsonl.gz"))).toString("utf8"));
  return written(to, docs, lines(readFileSync(file("queries.train.jsonl"), "utf8")), readFileSync(file("qrels.train.tsv"), "utf8"));
}

/** Functions by their text, and questions with the one function that answers each. */
function cosqa(file: (name: string) => string, to: string): Collection {
  const numbers = JSON.parse(gunzipSync(readFileSync(file("code_idx_map.txt.gz"))).toString("utf8")) as Record<string, number>;
  const name = readdirSync(dirname(file("x"))).find((one) => /^cosqa-retrieval-.*\.json$/.test(one)) ?? "";
  const asked = JSON.parse(readFileSync(file(name), "utf8")) as Array<{ idx: string; doc: string; retrieval_idx: number }>;
  const docs = Object.entries(numbers).map(([text, at]) => ({ id: String(at), text }));
  const queries = asked.map(({ idx, doc }) => ({ id: idx, text: doc }));
  return written(to, docs, queries, asked.map(({ idx, retrieval_idx: right }) => `${idx}\t${right}\t1`).join("\n"));
}

function written(to: string, docs: readonly object[], queries: readonly object[], qrels: string): Collection {
  const lines = (values: readonly object[]) => values.map((value) => JSON.stringify(value)).join("\n");
  const files = { docs: `${to}.docs.jsonl`, queries: `${to}.queries.jsonl`, qrels: `${to}.qrels.tsv` };
  writeFileSync(files.docs, lines(docs));
  writeFileSync(files.queries, lines(queries));
  writeFileSync(files.qrels, qrels);
  return files;
}

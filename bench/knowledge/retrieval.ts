/** Session memory and retrieval: query times, recall of the vectors against exact ones, embedding, durable writes. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Embedder, VectorIndex } from "@guildhall/core";
import { seededRandom } from "@guildhall/core/testing";
import { cachedEmbedder, HybridIndex, openExactIndex, openVectorIndex, openVectorStore, useLiteEmbedder } from "@guildhall/knowledge";

import { percentile, table } from "../table.ts";

const model = { id: "made", dimension: 512 };
const open = (of = model): Promise<VectorIndex> => openVectorIndex(of);

for (const [count, goals] of [
  [10_000, ["≤ 10 ms", "≤ 30 ms"]],
  [100_000, ["≤ 25 ms", "≤ 80 ms"]],
] as const) {
  await queries(count, goals);
}
await embedding();
await writes();

/** Words fall as in language (Zipf); vectors lie in clusters, as embeddings do. */
async function queries(count: number, goals: readonly [string, string]): Promise<void> {
  const random = seededRandom(5);
  const word = (): string => `word${Math.floor(20_000 ** random.next())}`;
  const words = (many: number): string => Array.from({ length: many }, word).join(" ");
  const embedder = madeEmbedder();
  const vectors = await open();
  const index = new HybridIndex({ profile: "prose", embedder, vectors });
  const start = performance.now();
  for (let from = 0; from < count; from += 1_000) {
    index.add(Array.from({ length: 1_000 }, (_, at) => ({ id: `d${from + at}`, text: words(40) })));
    await index.settled();
  }
  // The first search after a large index turned into lists waits for that.
  await vectors.size();
  const filled = performance.now() - start;
  const times: number[] = [];
  const cpu: number[] = [];
  const searched = Array.from({ length: 200 }, () => words(6));
  await index.search("warm up", { limit: 10 });
  for (const query of searched) {
    const began = performance.now();
    const before = process.cpuUsage();
    await index.search(query, { limit: 10 });
    times.push(performance.now() - began);
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / 1_000);
  }
  const figures = [50, 99].map((p, at) => ({ name: `hybrid query p${p}`, value: percentile(times, p), unit: "ms", goal: goals[at] ?? "" }));
  figures.push(...[50, 99].map((p) => ({ name: `its processor time p${p}`, value: percentile(cpu, p), unit: "ms", goal: "" })));
  const exact = await openExactIndex(model);
  const queryVectors = await embedder.embed(searched.slice(0, 50));
  for (let from = 0; from < count; from += 10_000) {
    const texts = Array.from({ length: 10_000 }, (_, at) => index.get(`d${from + at}`)?.text.slice(0, 400) ?? "");
    const made = await embedder.embed(texts);
    await exact.add(made.map((vector, at) => ({ id: `d${from + at}`, vector })));
  }
  let same = 0;
  for (const query of queryVectors) {
    const expected = new Set((await exact.search(query, 10)).map((hit) => hit.id));
    for (const hit of await vectors.search(query, 10)) if (expected.has(hit.id)) same += 1;
  }
  figures.push({ name: "recall@10 of the vectors against exact", value: same / 500, unit: "", goal: "≥ 0.95" });
  figures.push({ name: "filled (words and vectors)", value: filled / 1_000, unit: "s", goal: "" });
  console.log(table(`Retrieval: ${count} made documents, ${vectors.kind}`, figures));
  await Promise.all([vectors.close(), exact.close()]);
}

/** As fast as can be: a text's words place it near one of 500 centres. */
function madeEmbedder(): Embedder {
  const random = seededRandom(9);
  const centres = Array.from({ length: 500 }, () => Float32Array.from({ length: model.dimension }, () => random.next() - 0.5));
  return {
    model,
    embed: async (texts) =>
      texts.map((text) => {
        let hash = 7;
        for (let at = 0; at < text.length; at += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) >>> 0;
        const own = seededRandom(hash);
        const centre = centres[hash % centres.length] ?? new Float32Array(model.dimension);
        const other = centres[(hash >>> 9) % centres.length] ?? centre;
        const vector = centre.map((value, at) => value + 0.4 * (other[at] ?? 0) + (own.next() - 0.5) * 0.8);
        const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
        return vector.map((value) => value / length);
      }),
    close: () => Promise.resolve(),
  };
}

async function embedding(): Promise<void> {
  const inner = useLiteEmbedder();
  const texts = Array.from(
    { length: 128 },
    (_, at) => `Text number ${at} says that the scheduler places a task on worker ${at * 3} and waits for it.`,
  );
  await inner.embed(["warm up"]);
  const cold = await timed(() => inner.embed(texts));
  const alone = await timed(() => inner.embed(["How long does the lease of a worker last?"]));
  const cached = cachedEmbedder(inner);
  await cached.embed(texts);
  const warm = await timed(() => cached.embed(texts));
  console.log(
    table("Embedding: USE-Lite, short texts", [
      { name: "in batches", value: texts.length / (cold / 1_000), unit: "texts/s" },
      { name: "one alone", value: alone, unit: "ms" },
      { name: "cached", value: texts.length / (warm / 1_000), unit: "texts/s" },
    ]),
  );
  await cached.close();
}

/** Each batch is written when it is counted: its words in memory, its vectors in files. What is durable is the log, elsewhere. */
async function writes(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "guild-bench-"));
  const embedder = cachedEmbedder(madeEmbedder(), { store: await openVectorStore(directory, model) });
  const index = new HybridIndex({ profile: "prose", embedder, vectors: await open() });
  const count = 5_000;
  const visible: number[] = [];
  const spent = await timed(async () => {
    for (let from = 0; from < count; from += 100) {
      const began = performance.now();
      index.add(Array.from({ length: 100 }, (_, at) => ({ id: `w${from + at}`, text: `written note ${from + at} of the durable kind` })));
      await index.search(`${from + 99}`, { limit: 1, arm: "lexical" });
      visible.push(performance.now() - began);
      await index.settled();
    }
  });
  console.log(
    table("Writes in batches of 100, vectors kept on disk", [
      { name: "written", value: count / (spent / 1_000), unit: "/s", goal: "≥ 1,000/s" },
      { name: "lexically visible p99", value: percentile(visible, 99), unit: "ms", goal: "≤ 200 ms" },
    ]),
  );
  await embedder.close();
  await rm(directory, { recursive: true });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";

import { GuildError } from "@guildhall/core";

import { ndcg, percentile, recall, reciprocalRank } from "./measures.ts";
import { runEval } from "./run-eval.ts";

describe("measures", () => {
  it("are those of the books", () => {
    const grades = new Map([
      ["a", 2],
      ["b", 1],
      ["c", 0],
    ]);
    assert.equal(recall(["x", "a"], grades), 0.5);
    assert.equal(reciprocalRank(["c", "b"], grades), 0.5);
    assert.equal(ndcg(["a", "b"], grades, 10), 1);
    const swapped = (1 + 2 / Math.log2(3)) / (2 + 1 / Math.log2(3));
    assert.ok(Math.abs(ndcg(["b", "a"], grades, 10) - swapped) < 1e-12);
    assert.deepEqual([recall([], new Map()), ndcg([], new Map(), 10), reciprocalRank([], grades), percentile([], 50)], [0, 0, 0, 0]);
    assert.equal(percentile([3, 1, 2], 50), 2);
  });
});

describe("runEval", () => {
  let directory = "";
  const path = (name: string): string => join(directory, name);
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guild-eval-"));
    const documents = [
      { id: "d1", title: "Bees", text: "Bees make honey.", at: "2026-01-01" },
      { id: 2, text: "Foxes hunt at night.", thread: "t", order: 1 },
    ];
    await writeFile(path("docs.jsonl.gz"), gzipSync(documents.map((one) => JSON.stringify(one)).join("\n")));
    await writeFile(
      path("queries.jsonl"),
      '\uFEFF{"id":"q1","text":"who makes honey"}\r\n\n{"id":"q2","text":"night hunters"}\n{"id":"q3","text":"not judged"}',
    );
    await writeFile(path("qrels.tsv"), "query\tdocument\tgrade\nq1\td1\t1\nq2\t2\t1\n");
  });
  after(() => rm(directory, { recursive: true }));

  const run = (over: Partial<Parameters<typeof runEval>[0]> = {}, lines: string[] = []) =>
    runEval({ docs: path("docs.jsonl.gz"), queries: path("queries.jsonl"), qrels: path("qrels.tsv"), ...over }, (line) => lines.push(line));

  it("reads gzip, byte order marks and headings, and writes one JSON line an arm", async () => {
    const lines: string[] = [];
    await run({ json: true }, lines);
    const [report] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(lines.length, 1);
    assert.deepEqual(Object.keys(report ?? {}), ["arm", "recall", "ndcg", "mrr", "p50_ms", "p99_ms", "queries"]);
    assert.deepEqual([report?.["arm"], report?.["recall"], report?.["queries"]], ["lexical", 1, 2]);
  });

  it("says which line of which file is wrong", async () => {
    const refused = async (
      name: string,
      content: string | Buffer,
      key: "docs" | "queries" | "qrels",
      code: "invalid_argument" | "corrupt",
      text: string,
    ) => {
      await writeFile(path(name), content);
      await assert.rejects(run({ [key]: path(name) }), (error) => GuildError.is(error, code) && error.line.includes(text));
    };
    await refused("bad.jsonl", '{"id":"a","text":"b"}\n{"id":', "docs", "invalid_argument", "bad.jsonl:2");
    await refused("none.jsonl", '{"id":"a"}', "queries", "invalid_argument", "none.jsonl:1");
    await refused("empty.jsonl", "", "docs", "invalid_argument", "no document");
    await refused("qrels.bad", "q1 d1 1\nq1", "qrels", "invalid_argument", "qrels.bad:1");
    await refused("other.tsv", "q9\td1\t1", "qrels", "invalid_argument", "no query has a judgement");
    await refused("cut.gz", gzipSync("x".repeat(100_000)).subarray(0, 60), "docs", "corrupt", "cut.gz");
    await assert.rejects(run({ docs: path("missing") }), (error) => GuildError.is(error, "not_found"));
    await assert.rejects(run({ k: 0 }), (error) => GuildError.is(error, "invalid_argument"));
  });
});

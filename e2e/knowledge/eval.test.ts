import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";

import { Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

describe("guild knowledge eval", () => {
  let home: Home;
  before(() => void (home = new Home()));
  after(() => home.remove());

  it("measures every arm on files, without a daemon, and embeds nothing twice", async () => {
    verifies("C2");
    const documents = [
      { id: "d1", title: "Bees", text: "Bees make honey." },
      { id: "d2", text: "Foxes hunt at night." },
      { id: "d3", text: "Ships cross the sea." },
    ];
    const docs = join(home.directory, "docs.jsonl.gz");
    writeFileSync(docs, gzipSync(documents.map((one) => JSON.stringify(one)).join("\n")));
    const queries = home.write("queries.jsonl", '{"id":"q1","text":"who makes honey"}\n{"id":"q2","text":"animals that hunt"}\n');
    const qrels = home.write("qrels.tsv", "q1\td1\t1\nq2\td2\t1\n");
    const measure = (...more: string[]) =>
      home.guild(["knowledge", "eval", "--docs", docs, "--queries", queries, "--qrels", qrels, ...more]);
    const lines = jsonLines((await measure("--json", "--k", "1")).stdout);
    assert.deepEqual(
      lines.map((line) => [line["arm"], line["queries"], line["recall"]]),
      [
        ["lexical", 2, 1],
        ["dense", 2, 1],
        ["mix", 2, 1],
      ],
    );
    assert.match((await measure()).stdout, /^arm +recall +ndcg +mrr/);
    const missing = await home.guild(["knowledge", "eval", "--docs", "none", "--queries", queries, "--qrels", qrels]);
    assert.deepEqual([missing.code, missing.stdout], [2, ""]);
    assert.match(missing.stderr, /cannot be opened .*none/);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { Bm25Index } from "./bm25.ts";
import { tokenize, tokenizeCode } from "./tokenize.ts";

function indexOf(documents: Record<string, string>): Bm25Index {
  const index = new Bm25Index();
  for (const [id, text] of Object.entries(documents)) index.add(id, [{ tokens: tokenize(text), weight: 1 }]);
  return index;
}

describe("tokenize", () => {
  it("finds identifiers by their exact name and by their parts", () => {
    assert.deepEqual(tokenize("parseHTTPHeader_v2"), ["parsehttpheader_v2", "pars", "http", "header", "v2"]);
    assert.deepEqual(tokenize("src/http-header.ts"), ["src", "http", "header", "ts"]);
  });

  it("brings irregular forms together", () => {
    for (const [one, other] of [
      ["She bought mice", "she buys a mouse"],
      ["children ran", "a child runs"],
    ])
      assert.deepEqual(tokenize(one ?? ""), tokenize(other ?? ""));
  });

  it("reads what programs write together", () => {
    assert.deepEqual(tokenizeCode("isinstance(makedirs)"), ["isinst", "makedir", "instanc", "make", "dir"]);
    assert.deepEqual(tokenizeCode("information"), tokenize("information"));
  });

  it("keeps words of other scripts", () => {
    assert.deepEqual(tokenize("Größe 東京"), ["größe", "東京"]);
  });
});

describe("Bm25Index", () => {
  it("puts the document that says more of the rare words first", () => {
    const index = indexOf({ a: "the lease expires and the worker stops", b: "the worker works", c: "a lease" });
    assert.deepEqual(
      index.search(tokenize("lease of a worker"), 10).map((hit) => hit.id),
      ["a", "c", "b"],
    );
  });

  it("forgets what was removed and replaces what is added again", () => {
    const index = indexOf({ a: "alpha", b: "beta" });
    index.add("a", [{ tokens: tokenize("gamma"), weight: 1 }]);
    index.remove("b");
    assert.equal(index.size, 1);
    assert.deepEqual(index.search(tokenize("alpha beta"), 10), []);
    assert.equal(index.search(tokenize("gamma"), 10)[0]?.id, "a");
  });

  it("knows which of its terms a misspelt one means", () => {
    const index = indexOf({ a: "dictionary", b: "dictionary", c: "dictator", d: "permissions list", e: "permissions" });
    const spelled = (word: string) => index.spelled(tokenize(word)[0] ?? "");
    assert.deepEqual(["dictionarry", "dictoinary", "permisions"].map(spelled), ["dictionari", "dictionari", "permiss"]);
    assert.equal(index.spelled("lisst"), "lisst", "of one document: a misspelling may be a name");
    assert.equal(index.spelled("rictionari"), "rictionari");
  });

  it("asks the filter before it cuts to the limit", () => {
    const index = indexOf({ a: "x y", b: "x", c: "x" });
    assert.deepEqual(
      index.search(["x"], 1, (id) => id === "a").map((hit) => hit.id),
      ["a"],
    );
  });
});

describe("Bm25Index over many changes", () => {
  it("answers as an index made afresh does (seed 7)", () => {
    const random = seededRandom(7);
    const words = Array.from({ length: 60 }, (_, at) => `w${at}`);
    const index = new Bm25Index();
    const there = new Map<string, string[]>();
    for (let round = 0; round < 4_000; round += 1) {
      const id = `d${random.below(300)}`;
      if (random.chance(0.45)) {
        assert.equal(index.remove(id), there.delete(id));
      } else {
        const tokens = Array.from({ length: 1 + random.below(8) }, () => random.pick(words));
        const known = there.get(id);
        if (known !== undefined && random.chance(0.5)) {
          assert.equal(index.extend(id, [{ tokens, weight: 1 }]), true);
          there.set(id, [...known, ...tokens]);
        } else {
          index.add(id, [{ tokens, weight: 1 }]);
          there.set(id, tokens);
        }
      }
    }
    const fresh = new Bm25Index();
    for (const [id, tokens] of there) fresh.add(id, [{ tokens, weight: 1 }]);
    assert.equal(index.size, there.size);
    for (let round = 0; round < 50; round += 1) {
      const query = [random.pick(words), random.pick(words), random.pick(words)];
      const rounded = (one: Bm25Index) => one.search(query, 20).map((hit) => [hit.id, hit.score.toFixed(6)]);
      assert.deepEqual(rounded(index), rounded(fresh));
    }
  });

  it("takes the best of what may stand for a word, not the sum", () => {
    const index = indexOf({ a: "remove delete erase", b: "remove key", c: "delete row" });
    const term = new Map([
      ["remov", 1],
      ["delet", 0.5],
      ["eras", 0.5],
    ]);
    const alone = index.search(["remov"], 3);
    const hits = index.search([term], 3);
    assert.deepEqual(
      hits.map((hit) => hit.id),
      ["b", "a", "c"],
    );
    assert.equal(hits.find((hit) => hit.id === "b")?.score, alone.find((hit) => hit.id === "b")?.score);
  });
});

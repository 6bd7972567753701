import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Bm25Index } from "./bm25.ts";
import { tokenize } from "./tokenize.ts";

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

  it("asks the filter before it cuts to the limit", () => {
    const index = indexOf({ a: "x y", b: "x", c: "x" });
    assert.deepEqual(
      index.search(["x"], 1, (id) => id === "a").map((hit) => hit.id),
      ["a"],
    );
  });
});

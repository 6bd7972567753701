import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";

import { vectorIndexContract } from "@guildhall/core/testing";

import { openExactIndex } from "./exact-index.ts";
import { loadFaiss, openFaissIndex } from "./faiss-index.ts";

const addon = loadFaiss(join(import.meta.dirname, "../../build/faiss.node"));

vectorIndexContract("the exact scan", openExactIndex);
if (addon !== undefined) vectorIndexContract("FAISS", (model, directory) => openFaissIndex(addon, model, directory));

describe("the FAISS addon", () => {
  it("is built wherever the tests run", () => {
    assert.notEqual(addon, undefined, "packages/knowledge/native/build.sh has not built it: libfaiss-dev is missing");
  });

  it("says that it is missing rather than failing", () => {
    assert.equal(loadFaiss(join(import.meta.dirname, "no-such-addon.node")), undefined);
  });
});

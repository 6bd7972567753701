import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { embedderContract } from "@guildhall/core/testing";

import { useLiteEmbedder } from "./use-lite.ts";

embedderContract("use-lite", () => Promise.resolve(useLiteEmbedder()));

describe("use-lite", () => {
  it("puts like texts nearer than unlike ones", async () => {
    const embedder = useLiteEmbedder();
    const [a, b, c] = await embedder.embed(["how do I open a file", "reading from a file on disk", "the weather is lovely in spring"]);
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    assert.ok(dot(a, b) > dot(a, c));
    await embedder.close();
  });
});

function dot(x: Float32Array, y: Float32Array): number {
  return x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Embedder } from "../ports/embedder.ts";

/** What every embedder promises. */
export function embedderContract(name: string, open: () => Promise<Embedder>): void {
  describe(`${name} as an embedder`, () => {
    it("gives one unit vector a text, in order, the same whatever stands beside it", async () => {
      const embedder = await open();
      const texts = ["the lease expired", "a much longer text about how the scheduler places its tasks on workers", "x"];
      const together = await embedder.embed(texts);
      assert.equal(together.length, texts.length);
      for (const [index, vector] of together.entries()) {
        assert.equal(vector.length, embedder.model.dimension);
        assert.ok(Math.abs(dot(vector, vector) - 1) < 1e-3, `length ${dot(vector, vector)}`);
        const [alone] = await embedder.embed([texts[index] ?? ""]);
        assert.ok(dot(vector, alone ?? new Float32Array()) > 0.999, texts[index]);
      }
      await embedder.close();
    });

    it("takes nothing, empty texts, odd characters and enormous texts", async () => {
      const embedder = await open();
      assert.deepEqual(await embedder.embed([]), []);
      const [empty, odd, large] = await embedder.embed(["", "\u0000 \ud800 🙂", "word ".repeat(100_000)]);
      assert.ok(empty?.every((value) => value === 0));
      for (const vector of [odd, large]) assert.ok(vector?.every(Number.isFinite));
      await embedder.close();
    });

    it("stops when it is told to", async () => {
      const embedder = await open();
      await assert.rejects(embedder.embed(["x"], AbortSignal.abort(new Error("stop"))), /stop/);
      await embedder.close();
    });
  });
}

function dot(x: Float32Array, y: Float32Array): number {
  return x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
}

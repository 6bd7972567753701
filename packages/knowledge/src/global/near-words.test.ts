import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { areNear, NearWords } from "./near-words.ts";

describe("sets of words that are near", () => {
  it("are found exactly, whatever has been counted as rare, among many that share common words (seed 5)", () => {
    const random = seededRandom(5);
    const near = new NearWords<{ words: number[]; look: number; dropped: boolean }>();
    const all: Array<{ words: number[]; look: number; dropped: boolean }> = [];
    // Common words by far the most often, and many that differ in a word or two.
    const word = (): number => Math.floor(400 ** random.next());
    const sorted = (words: Iterable<number>): number[] => [...new Set(words)].toSorted((x, y) => x - y);
    let pairs = 0;
    for (let at = 0; at < 3_000; at += 1) {
      const fresh = Array.from({ length: random.below(12) }, word);
      const words = sorted(at > 0 && random.chance(0.3) ? [...random.pick(all).words.slice(random.below(2)), word()] : fresh);
      const expected = all.filter((one) => !one.dropped && words.length > 0 && areNear(words, one.words));
      const found = near.near(words);
      assert.deepEqual(new Set(found), new Set(expected));
      assert.equal(found.length, expected.length, "each once");
      pairs += found.length;
      const set = { words, look: 0, dropped: false };
      all.push(set);
      near.add(set);
      if (random.chance(0.3)) {
        const gone = random.pick(all);
        if (!gone.dropped) near.drop(gone);
      }
    }
    assert.ok(pairs > 1_000, `${pairs} pairs`);
  });
});

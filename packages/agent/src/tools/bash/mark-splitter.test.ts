import assert from "node:assert/strict";
import { test } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { MarkSplitter } from "./mark-splitter.ts";

function split(chunks: Uint8Array[]): string {
  const splitter = new MarkSplitter("word");
  return chunks
    .flatMap((chunk) => splitter.push(chunk))
    .map((part) => (part.kind === "bytes" ? Buffer.from(part.bytes).toString("latin1") : `<${part.kind} ${part.number}>`))
    .join("");
}

test("marks are found in any pieces, and nothing else is taken for one", () => {
  const random = seededRandom(Number(process.env["SEED"] ?? Date.now() % 1_000_000));
  const stream = Buffer.from("late\x1b]gh;word;s;12\x07out\x1b]gh;wrong;e;12\x07 \x1b[1m\x1b]gh;word;e;12\x07\x1b]gh;word;s;13\x07");
  const expected = "late<start 12>out\x1b]gh;wrong;e;12\x07 \x1b[1m<end 12><start 13>";
  assert.equal(split([stream]), expected);
  assert.equal(split(Array.from(stream, (byte) => Uint8Array.of(byte))), expected);
  for (let round = 0; round < 200; round += 1) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < stream.length;) {
      const next = at + 1 + random.below(9);
      chunks.push(stream.subarray(at, next));
      at = next;
    }
    assert.equal(split(chunks), expected, `seed ${random.seed}`);
  }
});

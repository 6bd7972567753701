import assert from "node:assert/strict";
import { test } from "node:test";

import { bytesToPath, pathToBytes } from "./byte-path.ts";

test("every sequence of bytes survives as a path, and valid UTF-8 reads as itself", () => {
  assert.equal(bytesToPath(Buffer.from("src/größe 🚀.ts")), "src/größe 🚀.ts");
  const seed = Date.now() % 1_000_000;
  let state = seed;
  const next = () => (state = (state * 1103515245 + 12345) % 2147483648);
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(
      Array.from({ length: 1 + (next() % 12) }, () => [0x61, 0xc3, 0xbc, 0xff, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x9a][next() % 10] ?? 0),
    );
    assert.deepEqual(pathToBytes(bytesToPath(bytes)), bytes, `seed ${seed}, bytes ${bytes.toString("hex")}`);
  }
});

test("the replacement character itself is a name like any other", () => {
  assert.equal(bytesToPath(Buffer.from("a\ufffdb")), "a\ufffdb");
  assert.deepEqual(pathToBytes("a\ufffdb"), Buffer.from("a\ufffdb"));
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { boundText } from "./bounded-text.ts";

test("a text within its limit is untouched", () => {
  assert.equal(boundText("abc", 3), "abc");
});

test("a longer text keeps both ends and says what is missing", () => {
  const text = `${"a".repeat(50)}${"b".repeat(1_000)}${"c".repeat(50)}`;
  assert.equal(boundText(text, 100), `${"a".repeat(50)}\n[… 1,000 characters left out …]\n${"c".repeat(50)}`);
});

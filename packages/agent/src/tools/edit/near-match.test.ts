import assert from "node:assert/strict";
import { test } from "node:test";

import { nearMatches } from "./near-match.ts";

const text = "function add(a, b) {\n\treturn a + b;\n}\n\nfunction subtract(a, b) {\n\treturn a - b;\n}\n";

test("a place that differs in white space only is named with its line", () => {
  const [near] = nearMatches(text, "function add(a, b) {\n  return a + b;\n}");
  assert.deepEqual(near, { line: 1, lines: ["function add(a, b) {", "\treturn a + b;", "}"], difference: "only white space differs" });
});

test("line numbers copied from a view are recognised", () => {
  const [near] = nearMatches(text, "5\tfunction subtract(a, b) {\n6\t\treturn a - b;");
  assert.equal(near?.line, 5);
  assert.match(near?.difference ?? "", /line numbers/);
});

test("similar lines are found, and nothing where nothing is alike", () => {
  assert.equal(nearMatches(text, "function substract(a, b) {")[0]?.line, 5);
  assert.deepEqual(nearMatches(text, "zzz qqq www"), []);
  assert.deepEqual(nearMatches(text, "\n \n"), []);
});

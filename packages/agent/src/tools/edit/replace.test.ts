import assert from "node:assert/strict";
import { test } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { findAll, insertLines, lineAt, lineStarts, replaceSpan } from "./replace.ts";

function replaced(text: string, wanted: string, replacement: string): string {
  const [span] = findAll(text, wanted);
  assert.ok(span);
  return replaceSpan(text, span, wanted, replacement).text;
}

test("LF in the wanted text finds CRLF, and the replacement gets CRLF", () => {
  assert.equal(replaced("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz"), "x\r\ny\r\nz\r\nc\r\n");
  assert.equal(replaced("a\r\nb\r\n", "b", "b1\nb2"), "a\r\nb1\r\nb2\r\n");
  assert.equal(replaced("a\r\nb\r\n", "\nb", "\nc"), "a\r\nc\r\n");
});

test("in a file of mixed endings the replaced part decides", () => {
  assert.equal(replaced("a\nb\nc\r\nd\r\ne\r\n", "a\nb", "x\ny"), "x\ny\nc\r\nd\r\ne\r\n");
  assert.equal(replaced("a\r\nb\r\nc\nd\ne\nf\n", "a\nb", "x\ny"), "x\r\ny\r\nc\nd\ne\nf\n");
});

test("a caller who writes carriage returns means them", () => {
  assert.equal(replaced("a\r\nb\r\n", "a\r\nb\r\n", "a\nb\n"), "a\nb\n");
  assert.equal(replaced("a\nb\n", "a\nb", "a\r\nb"), "a\r\nb\n");
});

test("overlapping places count, in either line ending", () => {
  assert.equal(findAll("aaa", "aa").length, 2);
  assert.equal(findAll("a\nb a\r\nb", "a\nb").length, 2);
  assert.deepEqual(findAll("abc", ""), []);
});

test("replacing a span leaves all around it as it was", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const random = seededRandom(seed);
  const pieces = ["a", "b", "\n", "\r\n", "ab", " "];
  for (let round = 0; round < 500; round += 1) {
    const make = (): string => Array.from({ length: 1 + random.below(12) }, () => random.pick(pieces)).join("");
    const [text, wanted] = [make(), make().slice(0, 3)];
    const plain = (value: string): string => value.replaceAll("\r\n", "\n");
    const spans = findAll(text, wanted);
    let count = 0;
    for (let at = plain(text).indexOf(plain(wanted)); at >= 0; at = plain(text).indexOf(plain(wanted), at + 1)) count += 1;
    assert.equal(spans.length, count, `seed ${seed}`);
    for (const span of spans) {
      assert.equal(plain(text.slice(span.start, span.end)), plain(wanted), `seed ${seed}`);
      const result = replaceSpan(text, span, wanted, "X").text;
      assert.equal(result, `${text.slice(0, span.start)}X${text.slice(span.end)}`, `seed ${seed}`);
    }
  }
});

test("inserting whole lines anywhere, the last line's end kept", () => {
  const cases: Array<[string, number, string, string]> = [
    ["a\nb\n", 0, "x", "x\na\nb\n"],
    ["a\nb\n", 1, "x\ny", "a\nx\ny\nb\n"],
    ["a\nb\n", 2, "x", "a\nb\nx\n"],
    ["a\nb", 2, "x", "a\nb\nx"],
    ["a\nb", 2, "x\n", "a\nb\nx"],
    ["a\nb", 1, "x\n", "a\nx\nb"],
    ["a\r\nb\r\n", 1, "x\ny\n", "a\r\nx\r\ny\r\nb\r\n"],
    ["a\r\nb", 2, "x", "a\r\nb\r\nx"],
    ["", 0, "x", "x\n"],
    ["a\n", 1, "", "a\n\n"],
    ["a\n", 1, "x\n\n", "a\nx\n\n"],
    ["a\rb\r", 1, "x", "a\rx\rb\r"],
  ];
  for (const [text, after, lines, expected] of cases)
    assert.equal(insertLines(text, after, lines).text, expected, JSON.stringify([text, after, lines]));
});

test("offsets and line numbers", () => {
  const starts = lineStarts("a\nbb\n\nc");
  assert.deepEqual(starts, [0, 2, 5, 6]);
  assert.deepEqual(
    [0, 1, 2, 4, 5, 6].map((offset) => lineAt(starts, offset)),
    [1, 1, 2, 2, 3, 4],
  );
});

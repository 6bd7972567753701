import assert from "node:assert/strict";
import { test } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { TerminalText } from "./terminal-text.ts";

function clean(...chunks: Array<string | Uint8Array>): string {
  const text = new TerminalText();
  return chunks.map((chunk) => text.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk)).join("") + text.end();
}

test("progress bars show their last state", () => {
  assert.equal(clean("10%\r50%\r100%\ndone\n"), "100%\ndone\n");
  assert.equal(clean("10%\r", "50%\r", "100%\r", "\ndone\n"), "100%\ndone\n");
  assert.equal(clean("a 1\x1b[2K\x1b[1Ga 2\x1b[2K\x1b[1Ga 3\n"), "a 3\n");
  assert.equal(clean("|\b/\b-\b\\\bok\n"), "ok\n");
  assert.equal(clean("50%\r"), "50%");
});

test("CRLF is LF, also when a chunk ends between", () => {
  assert.equal(clean("a\r\nb\r", "\nc\r\r\n"), "a\nb\nc\n");
});

test("escape sequences go, whole or in pieces", () => {
  assert.equal(
    clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\ \x1b(B\x1b=y\x1bP1$r\x1b\\z\n"),
    "red xlink yz\n",
  );
  assert.equal(clean("a\x1b", "[3", "1mb\x1b]0;ti", "tle\x1b", "\\c\n"), "abc\n");
});

test("what only begins like an escape sequence does not swallow the rest", () => {
  assert.equal(clean("\x1b]0;never ends\nnext line\n"), "]0;never ends\nnext line\n");
  const long = clean(`\x1b]${"x".repeat(100_000)}\nend\n`);
  assert.ok(long.endsWith("end\n") && long.length > 99_000);
});

test("bytes that are no UTF-8 are replaced, characters in pieces are whole", () => {
  assert.equal(clean(Buffer.from([0x61, 0xff, 0x62, 0x0a])), "a\ufffdb\n");
  const bytes = Buffer.from("grüße 日本 👍\n");
  assert.equal(clean(...Array.from(bytes, (byte) => Uint8Array.of(byte))), "grüße 日本 👍\n");
  assert.equal(clean(Buffer.from([0xe6, 0x97])), "\ufffd");
});

test("a prompt without a newline comes with flush, and its line goes on", () => {
  const text = new TerminalText();
  assert.equal(text.push(Buffer.from("Name? ")), "");
  assert.equal(text.flush(), "Name? ");
  assert.equal(text.push(Buffer.from("Ann\n")), "Ann\n");
});

test("memory stays bounded in a line without end", () => {
  const text = new TerminalText();
  let length = 0;
  for (let round = 0; round < 100; round += 1) length += text.push(Buffer.alloc(10_000, "x")).length;
  assert.equal(length + text.end().length, 1_000_000);
  const bar = new TerminalText();
  for (let round = 0; round < 1000; round += 1) assert.equal(bar.push(Buffer.from(`${"=".repeat(100)}\r`)), "");
  assert.equal(bar.end(), "=".repeat(100));
});

test("chunks make no difference", () => {
  const random = seededRandom(Number(process.env["SEED"] ?? Date.now() % 1_000_000));
  const pieces = ["abc", "\n", "\r", "\r\n", "\x1b[0m", "\x1b]0;t\x07", "\b", "ü", "👍", "\x1b", "[", "1G", "\x00", "\x9b1m"];
  for (let round = 0; round < 500; round += 1) {
    const whole = Buffer.from(Array.from({ length: 1 + random.below(20) }, () => random.pick(pieces)).join(""));
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < whole.length;) {
      const next = at + 1 + random.below(5);
      chunks.push(whole.subarray(at, next));
      at = next;
    }
    assert.equal(clean(...chunks), clean(whole), `seed ${random.seed}: ${JSON.stringify(whole.toString())}`);
  }
});

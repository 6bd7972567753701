import assert from "node:assert/strict";
import { test } from "node:test";

import { readInput } from "./keys.ts";

function bytes(input: string): string | undefined {
  const { bytes } = readInput(input);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

test("text gets Enter unless it ends with a newline", () => {
  assert.equal(bytes("yes"), "yes\n");
  assert.equal(bytes("yes\n"), "yes\n");
  assert.equal(bytes("two words"), "two words\n");
  assert.equal(bytes(" "), " \n");
});

test("names of keys are keys, alone or in a row", () => {
  assert.equal(bytes("C-c"), "\x03");
  assert.equal(bytes("Ctrl-D"), "\x04");
  assert.equal(bytes("C-\\"), "\x1c");
  assert.equal(bytes("Enter"), "\r");
  assert.equal(bytes("Up Up Enter"), "\x1b[A\x1b[A\r");
  assert.equal(bytes("M-b"), "\x1bb");
  assert.equal(bytes("Up and away"), "Up and away\n");
  assert.equal(bytes("constructor"), "constructor\n");
});

test("signals and waiting", () => {
  assert.deepEqual(readInput("SIGTERM"), { signal: "SIGTERM" });
  assert.equal(bytes("SIGNAL"), "SIGNAL\n");
  assert.deepEqual(readInput(""), {});
});

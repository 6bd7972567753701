import assert from "node:assert/strict";
import { test } from "node:test";

import { GuildError } from "@guildhall/core";
import { seededRandom } from "@guildhall/core/testing";

import { decodeText, encodeText, newlineOf, peculiarities } from "./text-document.ts";

test("whatever is read as text is written back byte for byte", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const random = seededRandom(seed);
  const samples = [
    Buffer.from("plain\n"),
    Buffer.from("\ufeffmark\r\n"),
    Buffer.from("\ufeffsixteen\n", "utf16le"),
    Buffer.from("\ufeffsixteen\n", "utf16le").swap16(),
    Buffer.from("unmarked sixteen\n", "utf16le"),
    Buffer.from("lone \ud800 half", "utf16le"),
    Buffer.from("caf\xe9\n", "latin1"),
    Buffer.from("grüße 日本 👍\n"),
    Buffer.alloc(0),
    ...Array.from({ length: 300 }, () => Buffer.from(Array.from({ length: random.below(41) }, () => random.below(256)))),
  ];
  for (const bytes of samples) {
    const document = decodeText(bytes);
    if (document !== undefined) assert.deepEqual(Buffer.from(encodeText(document)), bytes, `seed ${seed}: ${bytes.toString("hex")}`);
  }
});

test("encodings are told apart, and binary is not text", () => {
  const encoding = (bytes: Uint8Array): string | undefined => decodeText(bytes)?.encoding;
  assert.equal(encoding(Buffer.from("naïve")), "utf-8");
  assert.equal(encoding(Buffer.from("na\xefve", "latin1")), "latin-1");
  assert.equal(encoding(Buffer.from("\ufeffa", "utf16le")), "utf-16le");
  assert.equal(encoding(Buffer.from("\ufeffa", "utf16le").swap16()), "utf-16be");
  assert.equal(encoding(Buffer.from("text without a mark", "utf16le")), "utf-16le");
  assert.equal(encoding(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 1])), undefined);
  assert.equal(encoding(Buffer.from(Array.from({ length: 200 }, (_, index) => 1 + ((index * 37) % 255)))), undefined);
});

test("a character that the encoding has not is refused, not replaced", () => {
  assert.throws(
    () => encodeText({ text: "5 €", encoding: "latin-1", bom: false }),
    (error) => GuildError.is(error, "invalid_argument"),
  );
  assert.throws(
    () => encodeText({ text: "\ud800", encoding: "utf-8", bom: false }),
    (error) => GuildError.is(error, "invalid_argument"),
  );
});

test("line endings and oddities are named", () => {
  assert.equal(newlineOf("a\r\nb\r\nc\n"), "\r\n");
  assert.equal(newlineOf("a\nb"), "\n");
  assert.equal(newlineOf("a\rb"), "\r");
  assert.deepEqual(peculiarities({ text: "a\r\nb", encoding: "utf-8", bom: true }), ["byte-order mark", "CRLF", "no final newline"]);
  assert.deepEqual(peculiarities({ text: "a\nb\n", encoding: "utf-8", bom: false }), []);
  assert.deepEqual(peculiarities({ text: "a\r\nb\nc\n", encoding: "latin-1", bom: false }), ["Latin-1", "mixed line endings, mostly LF"]);
});

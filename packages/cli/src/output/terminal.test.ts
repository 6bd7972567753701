import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { forTerminal } from "./terminal.ts";

describe("text for a terminal", () => {
  it("keeps what a person writes, colours, and our own wiping of a line", () => {
    for (const text of ["plain, ünïcode 漢字 🐝\n\ttab\r\n", "\x1b[1mbold\x1b[22m \x1b[38;5;9mred\x1b[0m", "\r\x1b[Kworking"])
      assert.equal(forTerminal(text), text);
  });

  it("writes out everything that a terminal would obey", () => {
    const cases: Array<[string, string]> = [
      ["\x1b]52;c;ZXZpbA==\x07", "^[]52;c;ZXZpbA==^G"],
      ["\x1b]8;;http://evil.example\x1b\\good.example\x1b]8;;\x1b\\", "^[]8;;http://evil.example^[\\good.example^[]8;;^[\\"],
      ["\x9b31m\x9d52;c;x\x9c", "<U+009B>31m<U+009D>52;c;x<U+009C>"],
      ["\x1b[2J\x1b[1A\x1b[6n\x1bc", "^[[2J^[[1A^[[6n^[c"],
      ["\x1b[Kgone", "^[[Kgone"],
      ["fine\rspoofed", "fine^Mspoofed"],
      ["a\bb\x00\x7f", "a^Hb^@^?"],
      ["user\u202Ecod.exe\u2066", "user<U+202E>cod.exe<U+2066>"],
      ["\x1bP+q544e\x1b\\", "^[P+q544e^[\\"],
    ];
    for (const [text, shown] of cases) assert.equal(forTerminal(text), shown);
  });

  it("takes time in proportion to the text", () => {
    assert.equal(forTerminal("\x1b[1;".repeat(250_000)).length, "^[[1;".length * 250_000);
  });
});

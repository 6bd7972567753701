import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "@guildhall/core";

import { createCodeStructure } from "./code-structure.ts";

const structure = createCodeStructure();

const cases: Array<{ language: string; text: string; pattern: string; replacement: string; after: string }> = [
  {
    language: "typescript",
    text: "a.foo(1, b);\nfoo(2)",
    pattern: "$O.foo($$$A)",
    replacement: "bar($O, $$$A)",
    after: "bar(a, 1, b);\nfoo(2)",
  },
  { language: "tsx", text: "<A b={1}/>", pattern: "<A b={$X}/>", replacement: "<A c={$X}/>", after: "<A c={1}/>" },
  { language: "javascript", text: "if (a == b) {}", pattern: "$A == $B", replacement: "$A === $B", after: "if (a === b) {}" },
  {
    language: "html",
    text: "<p><b>x</b></p>",
    pattern: "<b>$A</b>",
    replacement: "<strong>$A</strong>",
    after: "<p><strong>x</strong></p>",
  },
  { language: "python", text: "é = 1\nprint(a, 'é')\n", pattern: "print($$$A)", replacement: "log($$$A)", after: "é = 1\nlog(a, 'é')\n" },
  {
    language: "go",
    text: "package p\nfunc f() { fmt.Println(1) }\n",
    pattern: "fmt.Println($A)",
    replacement: "log.Println($A)",
    after: "package p\nfunc f() { log.Println(1) }\n",
  },
  {
    language: "rust",
    text: "fn f() { x.unwrap(); }",
    pattern: "$X.unwrap()",
    replacement: '$X.expect("x")',
    after: 'fn f() { x.expect("x"); }',
  },
  {
    language: "java",
    text: "class A { void f() { x.y(1); } }",
    pattern: "x.y($A)",
    replacement: "x.z($A)",
    after: "class A { void f() { x.z(1); } }",
  },
  {
    language: "c",
    text: "int f(void) { return g(1) + g(2); }",
    pattern: "g($A)",
    replacement: "h($A)",
    after: "int f(void) { return h(1) + h(2); }",
  },
  {
    language: "cpp",
    text: "int f() { return a->g(1); }",
    pattern: "$A->g($B)",
    replacement: "$A->h($B)",
    after: "int f() { return a->h(1); }",
  },
  { language: "json", text: '[{"a": 1}]', pattern: '{"a": $V}', replacement: '{"b": $V}', after: '[{"b": 1}]' },
  { language: "yaml", text: "a: 1\nb: 2\n", pattern: "a: $V", replacement: "c: $V", after: "c: 1\nb: 2\n" },
  { language: "typescript", text: "f(f(1))", pattern: "f($A)", replacement: "g($A)", after: "g(f(1))" },
  {
    language: "typescript",
    text: "  a();\r\n",
    pattern: "a()",
    replacement: "if (x) {\n  a();\n}",
    after: "  if (x) {\n    a();\n  };\r\n",
  },
];

describe("code structure", () => {
  for (const { language, text, pattern, replacement, after } of cases) {
    it(`${language}: ${pattern} → ${replacement}`, async () => {
      const edits = await structure.rewrite(language, text, pattern, replacement);
      const result = edits.toReversed().reduce((now, edit) => now.slice(0, edit.start) + edit.text + now.slice(edit.end), text);
      assert.equal(result, after);
    });
  }

  it("finds nested matches with what their variables stand for", async () => {
    const found = await structure.search("typescript", "const é = f(f(1))", "f($A)");
    assert.deepEqual(found, [
      { start: 10, end: 17, captures: { A: "f(1)" } },
      { start: 12, end: 16, captures: { A: "1" } },
    ]);
  });

  it("tells what it cannot use", async () => {
    const refused = async (work: Promise<unknown>, message: RegExp) =>
      assert.rejects(work, (error) => GuildError.is(error, "invalid_argument") && message.test(error.message));
    await refused(structure.search("cobol", "", "x"), /no language cobol/);
    await refused(structure.search("typescript", "", " "), /empty/);
    await refused(structure.rewrite("typescript", "f(1)", "f($A)", "g($B)"), /\$B of the replacement/);
  });
});

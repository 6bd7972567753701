import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "@guildhall/core";
import { FakeToolSession } from "@guildhall/core/testing";
import { Risk } from "@guildhall/protocol";

import { createEditTool } from "../edit/edit.ts";
import { runTool } from "../run-tool.ts";
import { ToolSet } from "../tool-registry.ts";
import { createApplyPatchTool } from "./apply-patch.ts";

const tool = createApplyPatchTool("/w");
const tools = new ToolSet([tool, createEditTool("/w")]);

interface Case {
  name: string;
  before?: Record<string, string | Buffer>;
  patch: string;
  /** Undefined: the file is not there. */
  after?: Record<string, string | Buffer | undefined>;
  output?: RegExp;
  fails?: boolean;
}

const v4a = (...lines: string[]): string => ["*** Begin Patch", ...lines, "*** End Patch"].join("\n");
const diff = (path: string, ...lines: string[]): string => [`--- a/${path}`, `+++ b/${path}`, ...lines, ""].join("\n");

const cases: Case[] = [
  {
    name: "unified: one hunk",
    before: { f: "a\nb\nc\n" },
    patch: diff("f", "@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"),
    after: { f: "a\nB\nc\n" },
    output: /^Changed f \(\+1 −1\)$/,
  },
  {
    name: "unified: several hunks, with line numbers that are off",
    before: { f: "0\n0\na\nb\nc\nd\ne\nf\ng\n" },
    patch: diff("f", "@@ -1,2 +1,3 @@", " a", "+x", " b", "@@ -6,2 +7,1 @@", "-f", " g"),
    after: { f: "0\n0\na\nx\nb\nc\nd\ne\ng\n" },
    output: /Note: hunk 1 of f was applied at line 3, not 1/,
  },
  {
    name: "unified: of equal places the one nearest to its line",
    before: { f: "x\n1\nx\n2\nx\n3\n" },
    patch: diff("f", "@@ -3 +3 @@", "-x", "+y"),
    after: { f: "x\n1\ny\n2\nx\n3\n" },
  },
  {
    name: "unified: CRLF, a byte-order mark and a missing final newline stay",
    before: { f: "\ufeffa\r\nb\r\nc" },
    patch: diff("f", "@@ -1,3 +1,4 @@", " a", "-b", "+B", "+B2", " c", "\\ No newline at end of file"),
    after: { f: "\ufeffa\r\nB\r\nB2\r\nc" },
  },
  {
    name: "unified: mixed endings and white space stay, byte for byte",
    before: { f: "a \r\nb\n\tc\r\nd\n" },
    patch: diff("f", "@@ -1,4 +1,4 @@", " a ", "-b", "+B", " \tc", " d"),
    after: { f: "a \r\nB\n\tc\r\nd\n" },
  },
  {
    name: "unified: Latin-1",
    before: { f: Buffer.from("caf\xe9\nb\n", "latin1") },
    patch: diff("f", "@@ -1,2 +1,2 @@", " café", "-b", "+ü"),
    after: { f: Buffer.from("caf\xe9\n\xfc\n", "latin1") },
  },
  {
    name: "unified: the newline at the end is taken away and put back",
    before: { f: "a\n", g: "a" },
    patch:
      diff("f", "@@ -1 +1 @@", "-a", "+a", "\\ No newline at end of file") +
      diff("g", "@@ -1 +1 @@", "-a", "\\ No newline at end of file", "+a"),
    after: { f: "a", g: "a\n" },
  },
  {
    name: "unified: lines added to a file without a final newline",
    before: { f: "a" },
    patch: diff("f", "@@ -1 +1,2 @@", "-a", "\\ No newline at end of file", "+a", "+b"),
    after: { f: "a\nb\n" },
  },
  {
    name: "git: create, delete, move and change in one patch",
    before: { old: "x\n", gone: "1\n2\n" },
    patch: [
      "diff --git a/new/deep b/new/deep",
      "new file mode 100644",
      "--- /dev/null",
      "+++ b/new/deep",
      "@@ -0,0 +1,2 @@",
      "+one",
      "+two",
      "diff --git a/gone b/gone",
      "deleted file mode 100644",
      "--- a/gone",
      "+++ /dev/null",
      "@@ -1,2 +0,0 @@",
      "-1",
      "-2",
      "diff --git a/old b/moved",
      "similarity index 50%",
      "rename from old",
      "rename to moved",
      "--- a/old",
      "+++ b/moved",
      "@@ -1 +1 @@",
      "-x",
      "+y",
      "",
    ].join("\n"),
    after: { "new/deep": "one\ntwo\n", gone: undefined, old: undefined, moved: "y\n" },
    output: /^Created new\/deep \(\+2\)\nDeleted gone\nMoved old to moved \(\+1 −1\)$/,
  },
  {
    name: "git: a rename alone leaves the bytes alone, binary or not",
    before: { a: Buffer.from([0, 255, 1]) },
    patch: "diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n",
    after: { a: undefined, b: Buffer.from([0, 255, 1]) },
  },
  {
    name: "git: quoted names",
    before: { "ü b": "1\n" },
    patch: 'diff --git "a/\\303\\274 b" "b/\\303\\274 b"\n--- "a/\\303\\274 b"\n+++ "b/\\303\\274 b"\n@@ -1 +1 @@\n-1\n+2\n',
    after: { "ü b": "2\n" },
  },
  {
    name: "diff -u: without prefixes, with times",
    before: { "d/f": "1\n" },
    patch: "--- d/f\t2026-01-01 00:00:00\n+++ d/f\t2026-01-02 00:00:00\n@@ -1 +1 @@\n-1\n+2\n",
    after: { "d/f": "2\n" },
  },
  {
    name: "a line that looks like a header is a line of the hunk",
    before: { f: "-- x\n" },
    patch: diff("f", "@@ -1 +1 @@", "--- x", "+++ y"),
    after: { f: "++ y\n" },
  },
  {
    name: "V4A: update, add, delete and move",
    before: { f: "class A:\n  def x():\n    return 1\n", g: "old\n", h: "h\n" },
    patch: v4a(
      "*** Update File: f",
      "@@ class A:",
      "   def x():",
      "-    return 1",
      "+    return 2",
      "*** Add File: n",
      "+hello",
      "+",
      "*** Delete File: g",
      "*** Update File: h",
      "*** Move to: i",
      "@@",
      "-h",
      "+i",
    ),
    after: { f: "class A:\n  def x():\n    return 2\n", n: "hello\n\n", g: undefined, h: undefined, i: "i\n" },
  },
  {
    name: "V4A: anchors tell equal places apart",
    before: { f: "def a\n  pass\ndef b\n  pass\n" },
    patch: v4a("*** Update File: f", "@@ def b", "-  pass", "+  go"),
    after: { f: "def a\n  pass\ndef b\n  go\n" },
  },
  {
    name: "V4A: the end of the file",
    before: { f: "x\ny\nx\n" },
    patch: v4a("*** Update File: f", "@@", "-x", "+z", "*** End of File"),
    after: { f: "x\ny\nz\n" },
  },
  {
    name: "V4A: white space at line ends is overlooked, and kept",
    before: { f: "a  \nb\n" },
    patch: v4a("*** Update File: f", " a", "-b", "+c"),
    after: { f: "a  \nc\n" },
    output: /matched without white space at line ends/,
  },
  {
    name: "V4A: the same file twice",
    before: { f: "1\n2\n" },
    patch: v4a("*** Update File: f", "@@", "-1", "+one", "*** Update File: f", "@@", "-2", "+two"),
    after: { f: "one\ntwo\n" },
  },
  {
    name: "nothing is changed when one of several files does not fit, and every problem is told",
    before: { f: "1\n", g: "1\n" },
    patch: v4a("*** Update File: f", "@@", "-1", "+2", "*** Update File: g", "@@", "-9", "+2", "*** Delete File: h"),
    after: { f: "1\n", g: "1\n" },
    fails: true,
    output: /the hunk does not fit g[^]*there is no h[^]*Nothing was changed\.$/,
  },
  {
    name: "an ambiguous place is refused",
    before: { f: "x\nx\n" },
    patch: v4a("*** Update File: f", "@@", "-x", "+y"),
    fails: true,
    output: /occur 2 times in f \(lines 1, 2\)/,
  },
  {
    name: "a file that is there is not created",
    before: { f: "1\n" },
    patch: v4a("*** Add File: f", "+2"),
    after: { f: "1\n" },
    fails: true,
    output: /there already/,
  },
  {
    name: "a deletion of other content is refused",
    before: { f: "1\n2\n" },
    patch: "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n",
    after: { f: "1\n2\n" },
    fails: true,
    output: /holds more/,
  },
  { name: "a path outside is refused", patch: v4a("*** Add File: ../x", "+1"), fails: true, output: /outside the workspace/ },
  { name: "what is no patch is told", patch: "please change f", fails: true, output: /no change in the patch/ },
  {
    name: "a bad line is told by its number",
    before: { f: "1\n" },
    patch: v4a("*** Update File: f", "@@", "oops"),
    fails: true,
    output: /line 4 of the patch is "oops"/,
  },
  { name: "binary patches are refused", patch: "diff --git a/x b/x\nGIT binary patch\nliteral 1\n", fails: true, output: /binary patches/ },
  {
    name: "what the encoding cannot hold is refused",
    before: { f: Buffer.from("caf\xe9\nb\n", "latin1") },
    patch: diff("f", "@@ -2 +2 @@", "-b", "+→"),
    fails: true,
    output: /Latin-1/,
  },
];

async function apply(session: FakeToolSession, patch: string, name = "apply_patch", args: object = { patch }) {
  return runTool(tools, { callId: "c", tool: name, arguments: JSON.stringify(args) }, session.context());
}

async function content(session: FakeToolSession, path: string): Promise<Buffer | undefined> {
  try {
    return Buffer.from(await session.files.read(`/w/${path}`));
  } catch (error) {
    if (GuildError.is(error, "not_found")) return undefined;
    throw error;
  }
}

describe("apply_patch", () => {
  for (const { name, before = {}, patch, after = {}, output, fails = false } of cases) {
    it(name, async () => {
      const session = new FakeToolSession();
      for (const [path, text] of Object.entries(before))
        await session.files.write(`/w/${path}`, Buffer.from(text as string), { parents: true });
      const result = await apply(session, patch);
      assert.equal(result.status, fails ? "error" : "ok", result.output);
      if (output !== undefined) assert.match(result.output, output);
      for (const [path, text] of Object.entries(after)) {
        assert.deepEqual(await content(session, path), text === undefined ? undefined : Buffer.from(text as string), path);
      }
      if (fails) return;
      // Taken back file by file, everything is as it was.
      const touched = new Set([...Object.keys(before), ...Object.keys(after)]);
      for (const path of touched) await apply(session, "", "edit", { command: "undo", path });
      for (const path of touched) {
        const was = before[path];
        assert.deepEqual(await content(session, path), was === undefined ? undefined : Buffer.from(was as string), `${path} after undo`);
      }
    });
  }

  it("leaves everything as it was when a write fails half way", async () => {
    const session = new FakeToolSession();
    await session.files.write("/w/a", Buffer.from("1\n"));
    await session.files.write("/w/gone", Buffer.from("g\n"));
    const write = session.files.write.bind(session.files);
    session.files.write = async (path, bytes, options) => {
      if (path === "/w/z/b") throw new GuildError("storage_full", "the disk is full");
      return write(path, bytes, options);
    };
    const result = await apply(session, v4a("*** Update File: a", "@@", "-1", "+2", "*** Delete File: gone", "*** Add File: z/b", "+x"));
    assert.deepEqual([result.status, /disk is full/.test(result.output)], ["error", true], result.output);
    assert.deepEqual([await content(session, "a"), await content(session, "gone")].map(String), ["1\n", "g\n"]);
    assert.equal(await content(session, "z/b"), undefined);
  });

  it("declares every file that it touches; what runs by itself is of high risk", () => {
    const patch = v4a("*** Update File: a", "*** Move to: b", "@@", "-1", "+2", "*** Add File: .git/hooks/x", "+1");
    assert.deepEqual(
      tool.resources({ patch }).map(({ name }) => name),
      ["file:/w/a", "file:/w/b", "file:/w/.git/hooks/x"],
    );
    assert.equal(tool.risk({ patch }), Risk.HIGH);
    assert.equal(tool.risk({ patch: v4a("*** Add File: x", "+1") }), Risk.MEDIUM);
  });
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";

import { chunkByForm } from "./chunk-file.ts";
import { type ProjectFile, ProjectIndex } from "./project-index.ts";

const python = `import os

# Opens the ledger.
def open_ledger(path):
    """Opens the ledger file."""
    return open(path)


class Ledger:
    def close(self):
        if self.open:
            self.file.close()
`;
const typescript = `import x from "y";

/** Sends a letter. */
export async function sendLetter(to: string): Promise<void> {
  if (to === "") {
    return;
  }
}

export const weigh = (letter: Letter): number => letter.grams;

export class PostOffice {
  stamp(letter: Letter): void {
    for (const one of letter.pages) {
      one.mark();
    }
  }
}
`;

describe("cutting files by the form of their lines", () => {
  const names = (path: string, text: string) => chunkByForm(path, text).map((chunk) => chunk.name);

  it("finds functions, classes and methods, with the comments above them", () => {
    assert.deepEqual(names("a.py", python), ["", "open_ledger", "Ledger", "close"]);
    assert.deepEqual(names("a.ts", typescript), ["", "sendLetter", "weigh", "PostOffice", "stamp"]);
    const [, letter] = chunkByForm("a.ts", typescript);
    assert.deepEqual([letter?.firstLine, letter?.lastLine], [3, 8]);
    assert.deepEqual(names("a.go", "package a\n\n// Run runs.\nfunc (s *S) Run(ctx context.Context) error {\n\treturn nil\n}\n"), [
      "",
      "Run",
    ]);
    assert.deepEqual(names("a.c", "#include <a.h>\n\nstatic int add(int a, int b) {\n  return a + b;\n}\n"), ["", "add"]);
  });

  it("cuts Markdown at its headings and anything else into windows, losing no line", () => {
    assert.deepEqual(names("a.md", "# One\ntext\n## Two\nmore"), ["One", "Two"]);
    const long = Array.from({ length: 95 }, (_, at) => `value ${at}`).join("\n");
    assert.deepEqual(
      chunkByForm("a.conf", long).map((chunk) => [chunk.firstLine, chunk.lastLine]),
      [
        [1, 40],
        [41, 80],
        [81, 95],
      ],
    );
    for (const text of [python, typescript]) {
      const kept = chunkByForm("a.x", text)
        .map((chunk) => chunk.text)
        .join("\n");
      assert.equal(kept.replaceAll(/\s+/g, " ").trim(), text.replaceAll(/\s+/g, " ").trim());
    }
    assert.deepEqual(chunkByForm("empty", ""), []);
  });
});

describe("the project index", () => {
  it("finds functions by what they do and says where they stand", async () => {
    const index = new ProjectIndex();
    await index.update([file("src/ledger.py", python), file("src/post.ts", typescript)]);
    const { found } = await index.search("send a letter", 3);
    assert.deepEqual([found[0]?.path, found[0]?.name, found[0]?.firstLine], ["src/post.ts", "sendLetter", 3]);
    assert.equal((await index.search("where is the ledger opened", 1)).found[0]?.name, "open_ledger");
  });

  it("reads again only what changed, and forgets what is gone", async () => {
    const index = new ProjectIndex();
    const [a, b] = [file("a.py", python), file("b.ts", typescript)];
    await index.update([a, b]);
    const changed = file("a.py", python.replaceAll("ledger", "herbarium"));
    const report = await index.update([changed, b, file("c.bin", "x\0y")]);
    assert.deepEqual(report, { read: 2, unchanged: 1, removed: 0, passedOver: ["c.bin"] });
    assert.equal((await index.search("ledger", 5)).found.filter((one) => one.text.includes("open_ledger")).length, 0);
    assert.equal((await index.search("herbarium", 1)).found[0]?.name, "open_herbarium");
    assert.equal((await index.update([b])).removed, 2);
    assert.deepEqual((await index.search("herbarium", 5)).found, []);
  });
});

function file(path: string, text: string): ProjectFile {
  return { path, digest: createHash("sha256").update(text).digest("hex"), read: () => Promise.resolve(text) };
}

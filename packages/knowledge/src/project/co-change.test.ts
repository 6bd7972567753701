import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CoChange, parseHistory } from "./co-change.ts";
import { CodeGraph } from "./code-graph.ts";

describe("what changes together", () => {
  it("is told by history, lately more than long ago, and by names where there is none", () => {
    const changes = new CoChange({ halfLife: 5 });
    for (let round = 0; round < 10; round += 1) changes.add({ files: ["src/old.ts", "docs/old.md"] });
    for (let round = 0; round < 10; round += 1) changes.add({ files: ["src/old.ts", "docs/new.md"] });
    changes.add({ files: ["src/fresh.ts", "src/fresh.test.ts", "lib/other.ts"] });
    changes.add({ files: Array.from({ length: 100 }, (_, at) => `swept/${at}.ts`) });
    const first = (path: string) => changes.companions([path], 3).map((one) => one.path);
    assert.equal(first("src/old.ts")[0], "docs/new.md");
    assert.equal(first("src/fresh.ts")[0], "src/fresh.test.ts");
    assert.equal(first("src/fresh.spec.ts")[0], "src/fresh.test.ts", "a file that nobody has seen");
    assert.deepEqual(
      changes.companions(["src/old.ts"], 3, (path) => path === "docs/old.md").map((one) => one.path),
      ["docs/old.md"],
    );
    assert.deepEqual(changes.companions([], 3), []);
  });

  it("is told by the texts where history is silent: by imports, and by rare names in common", () => {
    const graph = new CodeGraph();
    graph.read("a/ledger.ts", 'import { coin } from "./money.ts";\nexport const ledgerOfCoins = coin;');
    graph.read("a/money.ts", "export const coin = 1;");
    graph.read("b/report.ts", "print(ledgerOfCoins)");
    graph.read("c/other.ts", "print(nothing)");
    const changes = new CoChange({ graph });
    for (const path of ["a/ledger.ts", "a/money.ts", "b/report.ts", "c/other.ts"]) changes.add({ files: [path] });
    const companions = () => changes.companions(["a/ledger.ts"], 2).map((one) => one.path);
    assert.deepEqual(companions(), ["a/money.ts", "b/report.ts"]);
    graph.read("b/report.ts", "print(nothing)");
    graph.read("c/other.ts", "print(ledgerOfCoins)");
    assert.deepEqual(companions(), ["a/money.ts", "c/other.ts"]);
  });

  it("reads again only the files that changed", async () => {
    const graph = new CodeGraph();
    let reads = 0;
    const file = (path: string, text: string) => ({ path, digest: text, read: () => ((reads += 1), Promise.resolve(text)) });
    await graph.update([file("a.ts", 'import "./b.ts"'), file("b.ts", ""), file("c.png", "")]);
    await graph.update([file("a.ts", 'import "./b.ts"'), file("b.ts", "now")]);
    assert.equal(reads, 3);
    assert.deepEqual([...graph.namedBy("b.ts")], ["a.ts"]);
    await graph.update([file("b.ts", "now")]);
    assert.equal(graph.namedBy("b.ts").size, 0);
  });

  it("goes on over thousands of commits", () => {
    const changes = new CoChange({ halfLife: 1 });
    for (let at = 0; at < 5_000; at += 1) changes.add({ files: ["a", "b"] });
    const [found] = changes.companions(["a"], 1);
    assert.ok(found?.path === "b" && Number.isFinite(found.score) && found.score > 0);
  });

  it("reads what git tells", () => {
    assert.deepEqual(parseHistory("\0\n\na.ts\nb c.ts\n\0\0\n\nd.ts\n"), [{ files: ["a.ts", "b c.ts"] }, { files: ["d.ts"] }]);
  });
});

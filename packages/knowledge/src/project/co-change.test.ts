import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CoChange, parseHistory } from "./co-change.ts";

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

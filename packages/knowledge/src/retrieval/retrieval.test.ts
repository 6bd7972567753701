import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { codeFields } from "./code-fields.ts";
import { diversify } from "./diversify.ts";
import { fuse } from "./fuse.ts";
import { HybridIndex } from "./hybrid-index.ts";
import { estimateTokens, pack } from "./pack.ts";
import { priorFactor, priorParts } from "./priors.ts";
import { Threads } from "./threads.ts";

describe("code as fields", () => {
  it("parts functions of the usual languages", () => {
    const python = codeFields('@cached\ndef read_all(path):\n    """Reads a file.\n\n    Whole.\n    """\n    return open(path).read()');
    assert.deepEqual(
      [python?.language, python?.name, python?.summary, python?.documentation.trim()],
      ["python", "read_all", "Reads a file.", "Whole."],
    );
    assert.ok(python?.body.includes("open(path)") === true && !python.body.includes("Reads"));
    const names = [
      "/** Opens it.\n * Now. */\nexport async function openFile(path: string) {}",
      "// openFile opens it.\nfunc (s *Store) openFile(path string) error {",
      "/// Opens it.\npub fn openFile(path: &str) -> Result<()> {",
      "export const openFile = async (path) => {",
      "public static void openFile(String path) throws IOException {",
    ].map((text) => codeFields(text)?.name);
    assert.deepEqual(
      names,
      Array.from({ length: 5 }, () => "openFile"),
    );
  });

  it("takes prose for prose", () => {
    assert.equal(codeFields("We define the function as follows.\nclass struggle is old"), undefined);
    assert.equal(codeFields(""), undefined);
  });
});

describe("the mix of rankings", () => {
  it("keeps a sure arm's order against an unsure one", () => {
    const lexical = [hit("a", 12), hit("b", 3), hit("c", 1)];
    const dense = [hit("c", 0.31), hit("b", 0.3), hit("z", 0.29)];
    const mixed = fuse([
      { hits: lexical, weight: 0.8 },
      { hits: dense, weight: 0.2 },
    ]).map((one) => one.id);
    assert.equal(mixed[0], "a");
    assert.deepEqual(mixed.toSorted(), ["a", "b", "c", "z"]);
    assert.deepEqual(fuse([]), []);
  });

  it("moves scores by age, importance and use within bounds", () => {
    const now = 1e12;
    const fresh = priorFactor(priorParts({ id: "a", text: "", at: now + 5_000, importance: 9, uses: 1e9 }, now));
    const old = priorFactor(priorParts({ id: "a", text: "", importance: -1 }, now));
    assert.ok(fresh <= 1.5 && old >= 1, `${fresh} ${old}`);
  });

  it("chooses unlike pieces before like ones", () => {
    const one = (id: string, score: number, words: string) => ({ id, score, tokens: new Set(words.split(" ")) });
    const chosen = diversify([one("a", 1, "x y z"), one("b", 0.95, "x y z"), one("c", 0.8, "p q r")], 2);
    assert.deepEqual(
      chosen.map((each) => each.id),
      ["a", "c"],
    );
  });
});

describe("packing", () => {
  it("never exceeds the budget, whatever the pieces (seed 3)", () => {
    const random = seededRandom(3);
    for (let round = 0; round < 200; round += 1) {
      const pieces = Array.from({ length: random.below(8) }, (_, at) => ({
        id: `p${at}`,
        source: "s",
        text: random.pick(["ä🙂 word\n", "long text ", "x"]).repeat(random.below(200)),
      }));
      const budget = random.below(300);
      const packed = pack(pieces, budget);
      assert.ok(estimateTokens(packed.text) <= budget, `${estimateTokens(packed.text)} of ${budget}`);
      assert.equal(packed.text.isWellFormed(), true);
    }
  });

  it("passes over what does not fit for what does, and shortens what is long", () => {
    const packed = pack([piece("long", "word ".repeat(400)), piece("short", "brief")], 80);
    assert.deepEqual(
      packed.items.map((item) => item.id),
      ["long", "short"],
    );
    assert.match(packed.text, /…\n- \[short, s\] brief$/);
  });
});

describe("threads", () => {
  it("know the neighbours of a place, also one that is not taken", () => {
    const threads = new Threads();
    for (const order of [5, 1, 3, 2, 4]) threads.add({ id: `${order}`, text: "", thread: "t", order });
    const around = (order: number) =>
      threads
        .around({ id: String(order), text: "", thread: "t", order }, 1)
        .map((one) => one.id)
        .toSorted();
    assert.deepEqual([around(3), around(1), around(2.5)], [["2", "4"], ["2"], ["2", "3"]]);
    threads.remove({ id: "3", text: "", thread: "t", order: 3 });
    assert.deepEqual(around(2), ["1", "4"]);
  });
});

describe("the hybrid index without vectors", () => {
  it("finds a piece by its neighbour's words, below the neighbour, and no longer when that is gone", async () => {
    const index = new HybridIndex({ profile: "prose" });
    index.add([
      { id: "q", text: "Where shall we meet the beekeeper?", thread: "t", order: 1 },
      { id: "a", text: "At the old mill.", thread: "t", order: 2 },
      { id: "x", text: "Unrelated.", thread: "u", order: 1 },
    ]);
    const found = async () => (await index.search("beekeeper", { limit: 5 })).hits.map((one) => one.id);
    assert.deepEqual(await found(), ["q", "a"]);
    await index.remove(["q"]);
    assert.deepEqual(await found(), []);
  });

  it("asked of a person, finds what that person said, with the words of what was said before rather than after", async () => {
    const index = new HybridIndex({ profile: "conversation" });
    const turns = ["Ada: Shall we talk of the holidays?", "Ben: To Lisbon, by train.", "Ada: How long is that?"];
    index.add(turns.map((text, at) => ({ id: String(at), text, thread: "t", order: at })));
    const found = async (query: string) => (await index.search(query, { limit: 5 })).hits.map((one) => one.id);
    assert.deepEqual(await found("Ben"), ["1"], "nobody else's turn is found by a name at its beginning");
    assert.deepEqual((await found("holidays")).slice(0, 2), ["0", "1"]);
    const behind = (await index.search("train", { limit: 5 })).hits;
    assert.deepEqual(
      behind.map((one) => one.id),
      ["1", "2", "0"],
    );
  });

  it("ranks the same however a thread came in: piece by piece, at once, or out of order (seed 4)", async () => {
    const random = seededRandom(4);
    const text = () => `${random.pick(["Ada", "Ben", "-"])}: ${Array.from({ length: 6 }, () => `w${random.below(30)}`).join(" ")}`;
    const documents = Array.from({ length: 40 }, (_, at) => ({ id: `d${at}`, text: text(), thread: "t", order: at }));
    const orders = [documents.map((one) => [one]), [documents], random.shuffle(documents).map((one) => [one])];
    const rankings = await Promise.all(
      orders.map(async (batches) => {
        const index = new HybridIndex({ profile: "prose" });
        for (const batch of batches) index.add(batch);
        const { hits } = await index.search("Ada w1 w2 w3 w4", { limit: 10 });
        return hits.map((one) => one.score.toFixed(4));
      }),
    );
    assert.deepEqual(rankings[1], rankings[0]);
    assert.deepEqual(rankings[2], rankings[0]);
  });

  it("finds functions by what programmers call the same, and ignores the name of the only language", async () => {
    const index = new HybridIndex({ profile: "code" });
    index.add([
      { id: "del", text: 'def delete_key(d, k):\n    """Deletes a key."""\n    del d[k]' },
      { id: "py", text: 'def python_version():\n    """Python version."""\n    return 3' },
    ]);
    const { hits } = await index.search("python remove dictionary entry", { limit: 2 });
    assert.equal(hits[0]?.id, "del");
    assert.equal((await index.search("python", { limit: 1 })).hits[0]?.id, "py");
  });

  it("answers an empty query with nothing and a dense one with what is missing", async () => {
    const index = new HybridIndex({ profile: "prose" });
    index.add([{ id: "a", text: "alpha" }]);
    assert.deepEqual(await index.search("  ", { limit: 5 }), { hits: [] });
    await assert.rejects(index.search("alpha", { limit: 5, arm: "dense" }), /no vectors/);
  });
});

function hit(id: string, score: number): { id: string; score: number } {
  return { id, score };
}

function piece(id: string, text: string): { id: string; text: string; source: string } {
  return { id, text, source: "s" };
}

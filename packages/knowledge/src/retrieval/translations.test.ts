import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";

import { HybridIndex } from "./hybrid-index.ts";
import { Translations } from "./translations.ts";

/** What three kinds of functions do, in the words of people and in those of programs, which have none in common. */
const KINDS = [
  { says: ["remove", "file"], written: ["unlink", "inode"] },
  { says: ["order", "list"], written: ["quicksort", "pivot"] },
  { says: ["download", "page"], written: ["urlopen", "socket"] },
] as const;

describe("what words of documentation and names of programs have to do with each other", () => {
  const random = seededRandom(5);
  const noise = (): string[] => Array.from({ length: 4 }, () => `x${random.below(40)}`);
  const learned = async (count: number): Promise<Translations> => {
    const translations = new Translations();
    for (let at = 0; at < count; at += 1) {
      const { says, written } = KINDS[at % KINDS.length] ?? KINDS[0];
      translations.add(`f${at}`, [...says, ...noise()], [...written, ...noise()]);
    }
    // Without documentation: their programs are all that there is.
    for (const [at, { written }] of KINDS.entries()) translations.add(`plain${at}`, [], [...written, ...noise()]);
    await translations.ready();
    return translations;
  };
  const hits = KINDS.map((_, at) => ({ id: `plain${at}`, score: 3 - at }));

  it("brings forward the function whose program is documented elsewhere in the words of the question", async () => {
    const translations = await learned(600);
    // By words alone the first is a little better than the others, and the last is the worst.
    const near = hits.map((hit) => ({ ...hit, score: 2 + hit.score / 100 }));
    near.push({ id: "f0", score: 1 });
    assert.equal(translations.ranked(["download", "page"], near)[0]?.id, "plain2");
    assert.equal(translations.ranked(["order"], near)[0]?.id, "plain1");
    assert.deepEqual(translations.ranked(["never", "said"], near), near);
  });

  it("leaves everything as it is where little is documented, and forgets what is gone", async () => {
    const few = await learned(90);
    assert.deepEqual(few.ranked(["download"], hits), hits);
    const translations = await learned(600);
    for (let at = 0; at < 600; at += 1) if (at % 3 === 2) translations.remove(`f${at}`);
    await translations.ready();
    assert.deepEqual(translations.ranked(["download"], hits), hits, "learned anew from what is left");
  });

  it("is asked by every search of code", async () => {
    const index = new HybridIndex({ profile: "code" });
    const source = (at: number, summary: string, program: string): { id: string; text: string } => ({
      id: `f${at}`,
      text: `def g${at}(value):\n    """${summary}"""\n    return ${program}(value, ${noise().join(", ")})\n`,
    });
    const told = ["Shelters mongooses kindly.", "Feeds walruses daily.", "Counts lighthouses."];
    const programs = ["zorp", "blick", "quaff"];
    index.add(Array.from({ length: 450 }, (_, at) => source(at, told[at % 3] ?? "", programs[at % 3] ?? "")));
    index.add([source(1_000, "Mongooses.", "blick"), source(1_001, "Mongooses.", "zorp")]);
    const { hits: found } = await index.search("shelters mongooses", { limit: 500, arm: "lexical" });
    const place = (id: string): number => found.findIndex((hit) => hit.id === id);
    assert.ok(place("f1001") < place("f1000"), "zorp is what shelters, wherever it is documented");
  });
});

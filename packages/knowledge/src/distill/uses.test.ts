import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { body } from "@guildhall/core";
import { memoryEvents, randomEvents, seededRandom, toolStep } from "@guildhall/core/testing";

import { usedKnowledge } from "./uses.ts";

const notice = (id: string, text: string) =>
  body.noticeGiven({ kind: "memory", text: `What memory has on this:\n- [${id}, known] ${text}` });
const asked = body.messageReceived({ text: "Please make the integration tests pass." });
const known = notice("k1", "Integration tests need the database on port 6543.");

describe("use of what is known", () => {
  it("is confirmed when a validation passes after it was used", () => {
    const passes = toolStep(2, "bash", { command: "DB_PORT=6543 npm test" }, "42 passing", { exit_code: 0 });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, known, ...passes)), { used: [], confirmed: ["k1"] });
    const fails = toolStep(2, "bash", { command: "DB_PORT=6543 npm test" }, "1 failing", { exit_code: 1 });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, known, ...fails)), { used: ["k1"], confirmed: [] });
    const later = toolStep(3, "bash", { command: "npm test" }, "42 passing", { exit_code: 0 });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, known, ...fails, ...later)), { used: [], confirmed: ["k1"] });
  });

  it("is not told by what was asked anyway, by looking it up, or by what was left behind", () => {
    const nothing = { used: [], confirmed: [] };
    const passes = toolStep(2, "bash", { command: "npm run integration tests" }, "42 passing", { exit_code: 0 });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, known, ...passes)), nothing, "the person's own words");
    const before = toolStep(1, "bash", { command: "DB_PORT=6543 npm test" }, "ok", { exit_code: 0 });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, ...before, known)), nothing, "shown afterwards");
    const looked = toolStep(
      1,
      "recall",
      { query: "database port 6543" },
      "- [k1, known] Integration tests need the database on port 6543.",
    );
    assert.deepEqual(usedKnowledge(memoryEvents(asked, ...looked, ...passes)), nothing);
    const rewound = [...toolStep(2, "bash", { command: "DB_PORT=6543 npm test" }, "ok", { exit_code: 0 })];
    assert.deepEqual(usedKnowledge(memoryEvents(asked, known, ...rewound, body.sessionRewound({ toSeq: 1, tree: "t" }))), nothing);
    const own = body.noticeGiven({ kind: "memory", text: "- [e4, message 4] The database is on port 6543." });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, own, ...before)), nothing, "a piece of the session itself");
  });

  it("is told by what recall brought and by most of its words, for twenty items at most (seeds 1 to 20)", () => {
    const found = toolStep(
      1,
      "recall",
      { query: "backoff" },
      "- [k2, known, doubtful: x] The uploader retries\n  with exponential backoff.",
    );
    const said = body.modelReplied({ step: 2, text: "I let the uploader retry with an exponential backoff." });
    assert.deepEqual(usedKnowledge(memoryEvents(asked, ...found, said)).used, ["k2"]);
    const many = Array.from({ length: 50 }, (_, at) => notice(`k${at}`, `The value is value_${at}.`));
    const all = body.modelReplied({ step: 2, text: Array.from({ length: 50 }, (_, at) => `value_${at}.`).join(" ") });
    assert.equal(usedKnowledge(memoryEvents(asked, ...many, all)).used.length, 20);
    for (let seed = 1; seed <= 20; seed += 1) {
      const { used, confirmed } = usedKnowledge(randomEvents(seededRandom(seed), 200, { broken: seed % 2 === 0 }));
      assert.ok(used.length + confirmed.length <= 20);
    }
  });
});

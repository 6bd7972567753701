import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { body } from "@guildhall/core";
import { memoryEvents, randomEvents, seededRandom, toolStep } from "@guildhall/core/testing";

import { distil } from "./extract.ts";

describe("a session's lessons", () => {
  it("are what it was told to keep, what people insisted on, what it found out, and the command that proved it", () => {
    const events = memoryEvents(
      body.messageReceived({ text: "Please make the tests pass. Always use tabs in Makefiles. What is the weather?" }),
      ...toolStep(1, "bash", { command: "npm test" }, "1 failing", { exit_code: 1 }),
      body.modelReplied({
        step: 2,
        text: "I look at the code. The parser fails when a heredoc follows a comment because the token is dropped in src/lexer.ts.",
      }),
      ...toolStep(3, "edit", { command: "str_replace", path: "src/lexer.ts" }, "ok"),
      ...toolStep(4, "bash", { command: "npm test" }, "42 passing", { exit_code: 0 }),
      ...toolStep(5, "remember", { text: "The staging database listens on port 6543." }, "Remembered", {
        remembered: { id: "m_1", text: "The staging database listens on port 6543." },
      }),
      ...toolStep(6, "remember", { text: "The moon is made of green cheese." }, "Remembered", {
        remembered: { id: "m_2", text: "The moon is made of green cheese." },
      }),
      ...toolStep(7, "forget", { id: "m_2" }, "Forgotten", { forgotten: "m_2" }),
    );
    const lessons = distil(events);
    const texts = lessons.map((one) => one.text);
    assert.equal(texts[0], "The staging database listens on port 6543.");
    assert.ok(texts.includes("Always use tabs in Makefiles."));
    assert.ok(texts.some((text) => text.startsWith("The parser fails when")));
    assert.ok(texts.some((text) => text.startsWith("`npm test` checks this: it failed, and passed after changes to src/lexer.ts")));
    assert.ok(!texts.some((text) => /weather|cheese|I look/.test(text)));
    assert.deepEqual(lessons.find((one) => one.command !== undefined)?.command, { command: "npm test", exitCode: 0 });
    assert.ok(lessons.every((one) => one.seqs.length > 0));
    assert.deepEqual(distil(events), lessons, "the same again");
  });

  it("are few, said once, and none of what a rewind left (seeds 1 to 20)", () => {
    const many = Array.from({ length: 60 }, (_, at) =>
      body.modelReplied({ step: at, text: `Build ${at % 3} fails because the cache of module ${at % 3} is stale.` }),
    );
    assert.ok(distil(memoryEvents(...many)).length <= 3);
    const rewound = memoryEvents(
      body.messageReceived({ text: "Hello there." }),
      body.messageReceived({ text: "Never deploy on a Friday afternoon." }),
      body.sessionRewound({ toSeq: 1, tree: "t" }),
    );
    assert.deepEqual(distil(rewound), []);
    for (let seed = 1; seed <= 20; seed += 1)
      assert.ok(distil(randomEvents(seededRandom(seed), 200, { broken: seed % 2 === 0 })).length <= 6);
    assert.deepEqual(distil([]), []);
  });
});

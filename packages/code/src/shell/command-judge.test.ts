import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import type { CommandJudge } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";

import { createCommandJudge } from "./command-judge.ts";

describe("the command judge", () => {
  let judge: CommandJudge;
  before(async () => {
    judge = await createCommandJudge();
  });

  it("says the risk of a script with its reasons", () => {
    assert.deepEqual(judge.judge("ls -la"), { risk: Risk.LOW, reasons: [] });
    assert.deepEqual(judge.judge("ls; git push"), { risk: Risk.HIGH, reasons: ["it publishes commits"] });
  });

  it("says the same again, however many came between", () => {
    const first = judge.judge("git push");
    for (let index = 0; index < 300; index += 1) judge.judge(`echo ${index}`);
    assert.deepEqual(judge.judge("git push"), first);
  });

  it("throws for what nobody could read", () => {
    assert.throws(() => judge.judge("ls\n".repeat(50_000)), RangeError);
  });
});

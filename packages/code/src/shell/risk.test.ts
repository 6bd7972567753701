import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import { Risk } from "@guildhall/protocol";

import { CORPUS } from "./corpus.ts";
import { createShellParser, type ShellParser } from "./parser.ts";
import { judgeShell } from "./risk.ts";

const RISKS = { low: Risk.LOW, medium: Risk.MEDIUM, high: Risk.HIGH } as const;
const NAMES = new Map(Object.entries(RISKS).map(([name, risk]) => [risk, name]));

describe("judgeShell", () => {
  let parser: ShellParser;
  before(async () => {
    parser = await createShellParser();
  });

  for (const [name, risk] of Object.entries(RISKS)) {
    for (const command of CORPUS[name as keyof typeof CORPUS]) {
      it(`${name}: ${command}`, () => {
        const judged = judgeShell(parser, command);
        assert.equal(NAMES.get(judged.risk as 1 | 2 | 3), name, judged.reasons.join("; "));
        assert.equal(judged.reasons.length > 0, risk !== Risk.LOW, "a risk has its reasons");
      });
    }
  }

  it("has at least 150 commands to go by", () => {
    assert.ok(Object.values(CORPUS).flat().length >= 150);
  });

  it("takes the highest of a script, whatever surrounds it", () => {
    const risky = "while read line; do\n  case $line in\n    a) echo ok ;;\n    b) ls; git push ;;\n  esac\ndone < input.txt";
    const judged = judgeShell(parser, risky);
    assert.equal(judged.risk, Risk.HIGH);
    assert.deepEqual(judged.reasons, ["it publishes commits"]);
  });
});

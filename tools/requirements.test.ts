import assert from "node:assert/strict";
import { test } from "node:test";

import { citedIn, faults, parseMission, renderRequirements } from "./requirements.ts";

const mission = `
## A. First
| id | capability | works when |
|---|---|---|
| A1 | Log | It says \`a|b\` and "c". |
| B12 | Other | It works. |
`;

test("rows of the mission's tables become requirements, in order", () => {
  assert.deepEqual(parseMission(mission), [
    { id: "A1", capability: "Log", works: 'It says `a|b` and "c".' },
    { id: "B12", capability: "Other", works: "It works." },
  ]);
});

test("the generated module holds the text as it stands", () => {
  assert.match(renderRequirements(parseMission(mission)), /A1: \{ capability: "Log", works: "It says `a\|b` and \\"c\\"\." \},/);
});

test("citations are found across lines", () => {
  assert.deepEqual(citedIn('verifies("A1");\n  verifies(\n "B12",\n "C3");'), ["A1", "B12", "C3"]);
});

test("a claimed row without a citing test, and an unknown row, are faults", () => {
  const rows = parseMission(mission);
  assert.deepEqual(faults(rows, ["A1"], new Map([["x.test.ts", ["A1"]]])), []);
  assert.deepEqual(faults(rows, ["A1"], new Map()), ["A1 is in e2e/status.ts, but no test cites it"]);
  assert.deepEqual(faults(rows, [], new Map([["x.test.ts", ["Z9"]]])), ["x.test.ts cites Z9, which the mission does not have"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { breachesIn } from "./rules.ts";

const rulesOf = (path: string, text: string): string[] => breachesIn(path, text).map(({ line, rule }) => `${line}: ${rule.split(":")[0]}`);

test("a file of more than 400 lines is two things; a generated one is not ours to part", () => {
  const long = "x\n".repeat(401);
  assert.deepEqual(rulesOf("packages/core/src/a.ts", long), ["401: longer than 400 lines"]);
  assert.deepEqual(rulesOf("packages/core/src/a.ts", "x\n".repeat(400)), []);
  assert.deepEqual(rulesOf("packages/protocol/src/gen/a_pb.ts", long), []);
});

test("a path of one machine is refused in shipped code and documents, not in tests", () => {
  const line = 'const at = "/home/ada/guild";';
  assert.deepEqual(rulesOf("packages/core/src/a.ts", line), ["1: a path of one machine"]);
  assert.deepEqual(rulesOf("docs/a.md", "See `/work/x`."), ["1: a path of one machine"]);
  assert.deepEqual(rulesOf("packages/core/src/a.test.ts", line), []);
  assert.deepEqual(rulesOf("packages/core/src/a.ts", 'const at = "/run/guildhall/bin";'), []);
});

test("bare errors and swallowed ones are refused where the code ships", () => {
  assert.deepEqual(rulesOf("packages/core/src/a.ts", 'throw new Error("x");'), ["1: a bare Error"]);
  assert.deepEqual(rulesOf("packages/core/src/a.ts", "p.catch(() => undefined);"), ["1: a swallowed rejection"]);
  assert.deepEqual(rulesOf("packages/core/src/a.ts", "p.catch(() => undefined); // Reported by its other reader."), []);
  assert.deepEqual(rulesOf("packages/core/src/a.ts", "// Reported by its other reader.\np.catch(() => {});"), []);
  assert.deepEqual(rulesOf("tools/a.ts", 'throw new Error("x");'), []);
});

test("a name that says nothing is refused", () => {
  assert.deepEqual(rulesOf("packages/core/src/utils.ts", ""), ["1: named utils, helpers, common or manager"]);
  assert.deepEqual(rulesOf("packages/core/src/common/a.ts", ""), ["1: named utils, helpers, common or manager"]);
  assert.deepEqual(rulesOf("packages/core/src/commons.ts", ""), []);
});

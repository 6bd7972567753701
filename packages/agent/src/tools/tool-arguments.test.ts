import assert from "node:assert/strict";
import { test } from "node:test";

import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "./define-tool.ts";
import { argumentsSchema, readArguments } from "./tool-arguments.ts";

const tool = defineTool({
  name: "sample",
  description: "",
  schema: z.strictObject({
    text: z.string(),
    timeout_s: z.number().positive().max(10).optional(),
    kind: z.enum(["a", "b"]).optional(),
    range: z.array(z.int()).length(2).optional(),
  }),
  risk: () => Risk.LOW,
  resources: () => [],
  execute: async () => ({ status: "ok", output: "" }),
});

function problem(text: string): string {
  const read = readArguments(tool, text);
  return read.ok ? "none" : read.problem;
}

test("problems say what to mend", () => {
  assert.match(problem("{}"), /`text`: missing, expected string/);
  assert.match(problem('{"text":1}'), /`text`: expected string, got 1/);
  assert.match(problem('{"text":"x","timeout":3}'), /unknown argument `timeout` \(did you mean `timeout_s`\?\)/);
  assert.match(problem('{"text":"x","kind":"c"}'), /`kind`: expected "a" or "b", got "c"/);
  assert.match(problem('{"text":"x","timeout_s":99}'), /`timeout_s`: .*10.*, got 99/);
  assert.match(problem('{"text":"x","range":[1,"a"]}'), /`range.1`: expected int|`range.1`: expected number/);
  assert.match(problem('{"text":"x"'), /not valid JSON/);
  assert.match(problem("[1]"), /must be a JSON object, got a list of 1/);
  assert.match(problem('"x"'), /must be a JSON object/);
});

test("slips without doubt are mended", () => {
  const input = (text: string): unknown => {
    const read = readArguments(tool, text);
    assert.ok(read.ok, read.ok ? "" : read.problem);
    return read.input;
  };
  assert.deepEqual(input('{"text":"x","timeout_s":"3","range":"[1, 2]","kind":null}'), { text: "x", timeout_s: 3, range: [1, 2] });
});

test("__proto__ is refused wherever it stands and changes nothing", () => {
  for (const text of [
    '{"text":"x","__proto__":{"polluted":1}}',
    '{"text":{"deep":[{"__proto__":{"polluted":1}}]}}',
    '{"text":"x","range":"{\\"__proto__\\":1}"}',
  ]) {
    assert.notEqual(problem(text), "none");
  }
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("deeply nested arguments are refused without running out of stack", () => {
  assert.notEqual(problem(`{"text":${"[".repeat(50_000)}${"]".repeat(50_000)}}`), "none");
});

test("the JSON Schema is of the input and without bounds that zod makes up", () => {
  assert.deepEqual(argumentsSchema(tool), {
    type: "object",
    properties: {
      text: { type: "string" },
      timeout_s: { type: "number", exclusiveMinimum: 0, maximum: 10 },
      kind: { type: "string", enum: ["a", "b"] },
      range: { minItems: 2, maxItems: 2, type: "array", items: { type: "integer" } },
    },
    required: ["text"],
    additionalProperties: false,
  });
});

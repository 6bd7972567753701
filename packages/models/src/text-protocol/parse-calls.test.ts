import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { seededRandom } from "@guildhall/core/testing";
import { parse } from "yaml";

import { parseCalls } from "./parse-calls.ts";

interface Example {
  name: string;
  text: string;
  said?: string;
  calls: Array<Record<string, unknown>>;
  fault?: string;
}

const corpus = parse(readFileSync(new URL("../testdata/model-texts.yaml", import.meta.url), "utf8")) as Example[];

const tools = [
  schema("bash", ["command"], { command: "string" }),
  schema("edit", ["command"], { command: "string", path: "string", file_text: "string", line: "integer", all: "boolean", x: "string" }),
  schema("search", ["query"], { query: "string", limit: "integer" }),
  schema("think", ["thought"], { thought: "string" }),
  schema("python", ["code"], { code: "string" }),
];

function schema(name: string, required: string[], types: Record<string, string>): { name: string; schema: string } {
  const properties = Object.fromEntries(Object.entries(types).map(([key, type]) => [key, { type }]));
  return { name, schema: JSON.stringify({ type: "object", properties, required }) };
}

describe("calls in what a model wrote", () => {
  for (const { name, text, said, calls, fault } of corpus) {
    it(name, () => {
      const parsed = parseCalls(text, tools);
      const read = parsed.calls.map((call) => ({ [call.tool]: readable(call.arguments) }));
      const wanted = calls.map((call) =>
        Object.fromEntries(Object.entries(call).map(([tool, args]) => [tool, typeof args === "string" ? readable(args) : args])),
      );
      assert.deepEqual(read, wanted);
      if (said !== undefined) assert.equal(parsed.text, said);
      assert.deepEqual(
        parsed.faults.map(({ kind }) => kind),
        fault === undefined ? [] : [fault],
      );
    });
  }

  it("holds at least sixty texts", () => assert.ok(corpus.length >= 60, String(corpus.length)));

  it("never throws, and takes no longer than the text is long", () => {
    const random = seededRandom(20261122);
    const pieces = corpus.flatMap(({ text }) => text.split(/(?<=[\s<>{}[\]|"'`])/));
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: random.below(60) }, () => random.pick(pieces)).join("");
      parseCalls(text, tools);
    }
    for (const hostile of [
      "\n",
      '<call tool="bash">',
      "{",
      "[",
      '{"a":\n',
      "```json\n",
      "<tool_call>",
      "</tool_call>",
      "<parameter=x>",
      "`<",
      "<think>",
    ]) {
      parseCalls(hostile.repeat(100_000 / hostile.length), tools);
    }
  });
});

function readable(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

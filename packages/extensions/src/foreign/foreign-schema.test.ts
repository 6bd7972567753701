import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { z } from "zod";

import { readForeignSchema } from "./foreign-schema.ts";
import { ToolNames } from "./tool-name.ts";

const fits = (schema: object, value: unknown): boolean | undefined => readForeignSchema(schema).schema?.safeParse(value).success;

describe("a stranger's schema", () => {
  it("is shown as it came, and held to", () => {
    const given = {
      $schema: "http://json-schema.org/draft-07/schema#",
      type: "object",
      properties: { a: { type: "integer", minimum: 1 }, b: { $ref: "#/$defs/tree" }, c: { enum: ["x", 1] } },
      required: ["a"],
      additionalProperties: false,
      $defs: { tree: { type: "object", properties: { kids: { type: "array", items: { $ref: "#/$defs/tree" } } } } },
    };
    const { schema } = readForeignSchema(given);
    assert.ok(schema !== undefined);
    const { $schema: _, ...shown } = given;
    const { $schema: draft, ...made } = z.toJSONSchema(schema, { io: "input", target: "draft-7" });
    assert.deepEqual(made, shown);
    assert.equal(typeof draft, "string");
    for (const good of [{ a: 1 }, { a: 2, b: { kids: [{ kids: [] }] }, c: "x" }])
      assert.ok(schema.safeParse(good).success, JSON.stringify(good));
    for (const bad of [{}, { a: 0 }, { a: "1" }, { a: 1, b: { kids: [3] } }, { a: 1, c: "y" }, { a: 1, d: 2 }]) {
      assert.equal(schema.safeParse(bad).success, false, JSON.stringify(bad));
    }
  });

  it("is refused when it is none of one object, too deep or too large", () => {
    let deep: object = { type: "object" };
    for (let n = 0; n < 100_000; n += 1) deep = { type: "object", properties: { a: deep } };
    for (const bad of [undefined, "x", [], {}, { type: "array" }, deep, { type: "object", description: "x".repeat(100_000) }]) {
      assert.ok(readForeignSchema(bad).problem !== undefined);
    }
  });

  it("leaves to the tool what cannot be checked in bounded time", () => {
    const value = `${"a".repeat(40)}!`;
    assert.ok(fits({ type: "object", properties: { p: { type: "string", pattern: "^(a+)+$", format: "date" } } }, { p: value }));
    assert.ok(fits({ type: "object", if: { required: ["a"] }, else: { required: ["b"] }, not: {} }, { a: 1 }));
    assert.ok(
      fits(
        { type: "object", properties: { p: { type: "strange" }, q: { $ref: "http://e/x" }, r: { $ref: "#/no/where" } } },
        { p: 1, q: 2 },
      ),
    );
    const doubling: Record<string, object> = { d0: { type: "string" } };
    for (let n = 1; n <= 30; n += 1) doubling[`d${n}`] = { anyOf: [{ $ref: `#/$defs/d${n - 1}` }, { $ref: `#/$defs/d${n - 1}` }] };
    assert.ok(
      readForeignSchema({ type: "object", properties: { p: { $ref: "#/$defs/d30" } }, $defs: doubling }).schema?.safeParse({ p: 1 }) !==
        undefined,
    );
    assert.ok(
      readForeignSchema({ type: "object", properties: { p: { anyOf: [{ $ref: "#/properties/p" }] } } }).schema?.safeParse({ p: 1 }) !==
        undefined,
    );
  });

  it("cannot reach what every object has", () => {
    const schema = JSON.parse(
      '{"type":"object","properties":{"__proto__":{"type":"object","properties":{"x":{}}},"constructor":{"type":"string"}}}',
    ) as object;
    assert.ok(fits(schema, { constructor: "c" }));
    assert.equal(fits(schema, { constructor: 1 }), false);
  });
});

describe("names of a stranger's tools", () => {
  it("are ones that models take, each once", () => {
    const names = new ToolNames("mcp__my server");
    const made = ["a b", "a_b", "x".repeat(100), `${"x".repeat(99)}y`, "", "ü"].map((name) => names.of(name));
    assert.equal(new Set(made).size, made.length);
    for (const name of made) assert.match(name, /^mcp__my_server__[A-Za-z0-9_-]+$/);
    assert.ok(made.every((name) => name.length <= 64));
  });
});

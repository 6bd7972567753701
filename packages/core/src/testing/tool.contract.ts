import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { GuildError } from "../errors.ts";
import type { Tool, ToolContext, ToolResult } from "../ports/tool.ts";

/** What a suite runs a tool against. */
export interface ToolFixture {
  /** A context over a fresh session, with files that the examples need. */
  open(): Promise<{ context(signal?: AbortSignal): ToolContext; close(): Promise<void> }>;
  /** Arguments that a model might send, run in this order in one session, with the status that they must end with. */
  examples: Array<{ args: Record<string, unknown>; status: ToolResult["status"] }>;
  /** Arguments that the schema must refuse. */
  refused: Array<Record<string, unknown>>;
}

/** Every promise of the Tool port. */
export function toolContract(tool: Tool, fixture: ToolFixture): void {
  describe(`${tool.name}: tool`, () => {
    const inputs = fixture.examples.map(({ args }) => tool.schema.parse(args));

    it("has a name that every provider takes, a source, and says what it does in few words", () => {
      assert.match(tool.name, /^[A-Za-z0-9_-]{1,64}$/);
      assert.notEqual(tool.source, "");
      assert.ok(tool.description.length > 10 && tool.description.length < 1_000);
    });

    it("has a JSON Schema of one object, made from its own schema", () => {
      const schema = z.toJSONSchema(tool.schema, { io: "input", target: "draft-7" });
      assert.equal(schema.type, "object");
      assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema);
    });

    it("takes its examples and refuses what is wrong", () => {
      for (const args of fixture.refused) assert.equal(tool.schema.safeParse(args).success, false, JSON.stringify(args));
    });

    it("says risk, resources and repeatability of each input, always the same", () => {
      for (const input of inputs) {
        assert.notEqual(tool.risk(input), Risk.UNSPECIFIED);
        assert.equal(tool.risk(input), tool.risk(input));
        assert.deepEqual(tool.resources(input), tool.resources(input));
        for (const { name, access } of tool.resources(input)) {
          assert.match(name, /^(\*|workspace|tasks|file:\/.*|[a-z][a-z-]*:.+)$/);
          assert.ok(access === "read" || access === "write");
        }
        assert.equal(typeof tool.repeatable(input), "boolean");
      }
    });

    it("gives results that can be stored", async () => {
      const session = await fixture.open();
      try {
        for (const [index, input] of inputs.entries()) {
          const result = await tool.execute(input, session.context());
          assert.equal(result.status, fixture.examples[index]?.status, `${JSON.stringify(input)} → ${result.output}`);
          assert.equal(typeof result.output, "string");
          if (result.data !== undefined) assert.deepEqual(JSON.parse(JSON.stringify(result.data)), result.data);
          if (result.status === "error") assert.notEqual(result.output, "", "an error says what is wrong");
        }
      } finally {
        await session.close();
      }
    });

    it("tells the same when a repeatable call is run again", async () => {
      const session = await fixture.open();
      try {
        for (const input of inputs) {
          const first = await tool.execute(input, session.context());
          if (!tool.repeatable(input)) continue;
          const { status, output } = await tool.execute(input, session.context());
          assert.deepEqual({ status, output }, { status: first.status, output: first.output });
        }
      } finally {
        await session.close();
      }
    });

    it("ends soon when its call is cancelled already: with a result, or by throwing", { timeout: 30_000 }, async () => {
      const session = await fixture.open();
      const aborted = AbortSignal.abort(new GuildError("cancelled", "the call was cancelled"));
      try {
        for (const input of inputs) {
          await tool.execute(input, session.context(aborted)).then(
            () => undefined,
            (error: unknown) => assert.ok(error instanceof Error),
          );
        }
      } finally {
        await session.close();
      }
    });
  });
}

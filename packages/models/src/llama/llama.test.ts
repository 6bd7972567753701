import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { GuildError, type Model, ModelError, systemClock } from "@guildhall/core";
import { embedderContract, isKind, request, seededRandom, startFakeModelServer, user, writeTinyGguf } from "@guildhall/core/testing";
import { ToolSchemaSchema } from "@guildhall/protocol";
import { z } from "zod";

import { createModelProvider } from "../provider.ts";
import { parseCalls } from "../text-protocol/parse-calls.ts";
import { schemaGrammar, tagsGrammar } from "../text-protocol/write-grammar.ts";
import type { GenerateRequest } from "./engine-messages.ts";
import { type Engine, llamaEngine } from "./engine.ts";
import { readGgufHeader } from "./gguf-header.ts";
import { LlamaModels } from "./llama-models.ts";

const never = new AbortController().signal;
const input = {
  type: "object",
  properties: {
    command: { enum: ["ls", "pwd"] },
    deep: { type: "array", items: { type: "integer" }, maxItems: 3 },
    quiet: { type: "boolean" },
  },
  required: ["command"],
};
const tools = [create(ToolSchemaSchema, { name: "bash", description: "Runs a command.", schema: JSON.stringify(input) })];

/** The model has random weights: all that makes sense of what it writes is the grammar. */
describe("a model file in llama.cpp", () => {
  let directory = "";
  let file = "";
  let engine: Engine;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guild-llama-"));
    file = join(directory, "tiny.gguf");
    await writeTinyGguf(file);
    engine = llamaEngine({ file, contextTokens: 2_048 });
  });
  after(() => rm(directory, { recursive: true }));

  const models = new LlamaModels();
  const provider = createModelProvider({ clock: systemClock(), random: Math.random });
  const open = (spec: string): Promise<Model> => provider.open({ spec, directory, credentials: {} });
  const asked = (grammar: string | undefined, more: Partial<GenerateRequest> = {}): GenerateRequest => ({
    messages: [{ role: "user", text: "go" }],
    grammar,
    maxTokens: 400,
    temperature: 1,
    ...more,
  });

  it("writes calls that parse and fit their tool's schema, for the grammar lets nothing else through", async () => {
    const [bash] = tools;
    assert.ok(bash !== undefined);
    // Nothing said, so that it comes to the calls.
    const calls = tagsGrammar(tools).replace(/^root ::= \S+ \((.*)\)\?$/m, "root ::= $1");
    const shape = z.strictObject({
      command: z.enum(["ls", "pwd"]),
      deep: z.array(z.int()).max(3).optional(),
      quiet: z.boolean().optional(),
    });
    for (let round = 0; round < 3; round += 1) {
      const { text, finish } = await engine.generate(asked(calls.replace(")*", "){0,2}")), never);
      const parsed = parseCalls(text, tools);
      assert.equal(finish, "stop", text);
      assert.deepEqual(parsed.faults, [], text);
      assert.ok(parsed.calls.length > 0, text);
      for (const call of parsed.calls) {
        assert.equal(call.tool, "bash");
        shape.parse(JSON.parse(call.arguments));
      }
    }
  });

  it("is a model like others: it answers by the text protocol, within its limit, and counts", async () => {
    for (const spec of [`llama:${file}`, `json:llama:${file}`]) {
      const model = await open(spec);
      assert.deepEqual([model.info.spec, model.info.provider], [spec, "llama"]);
      assert.equal(model.info.contextTokens, 2_048);
      const deltas: string[] = [];
      try {
        const reply = await model.generate({ ...request([user("go")]), tools, maxOutputTokens: 60 }, never, {
          text: (delta) => deltas.push(delta),
        });
        assert.ok((reply.usage?.inputTokens ?? 0) > 20);
        assert.ok((reply.usage?.outputTokens ?? 0) <= 60);
      } catch (error) {
        // Random weights stop in the middle of JSON, or speak in marks; that is told by its kind.
        assert.ok(error instanceof ModelError && ["truncated", "empty", "malformed"].includes(error.kind), String(error));
      }
      await model.close();
    }
  });

  it("computes the beginning of a conversation once", async () => {
    const grammar = 'root ::= "ok"';
    const messages: GenerateRequest["messages"] = [
      { role: "user", text: "a rather long beginning of a conversation that stays as it was" },
    ];
    const first = await engine.generate(asked(grammar, { messages }), never);
    assert.equal(first.text, "ok");
    const second = await engine.generate(
      asked(grammar, { messages: [...messages, { role: "model", text: "ok" }, { role: "user", text: "more" }] }),
      never,
    );
    assert.ok(second.cachedTokens >= first.inputTokens - 2, `${second.cachedTokens} of ${second.inputTokens}`);
  });

  it("gives up when it is told to, and answers the next", async () => {
    const stop = new AbortController();
    const endless = engine.generate(asked("root ::= [a-z]{1500,}", { maxTokens: 1_500 }), stop.signal, () =>
      stop.abort(new Error("enough")),
    );
    await assert.rejects(endless, /enough/);
    assert.equal((await engine.generate(asked('root ::= "next"'), never)).text, "next");
  });

  it("says that a conversation is too long, that a file is none, and that a grammar is wrong", async () => {
    const model = await open("llama:tiny.gguf#256");
    assert.equal(model.info.contextTokens, 256);
    await assert.rejects(model.generate(request([user("word ".repeat(400))]), never), isKind("context_overflow"));
    await assert.rejects(engine.generate(asked("root ::= nowhere"), never), { reason: "grammar" });
    await assert.rejects(open("llama:missing.gguf"), (error) => GuildError.is(error, "not_found"));
    await assert.rejects(open("llama:"), (error) => GuildError.is(error, "invalid_argument"));
    await writeFile(join(directory, "text.gguf"), "no model");
    await assert.rejects(open("llama:text.gguf"), (error) => GuildError.is(error, "invalid_argument") && error.line.includes("no GGUF"));
  });

  it("outlives a damaged file: the process ends or refuses, the asker is told, the next model answers", async () => {
    const random = seededRandom(5);
    const whole = await readFile(file);
    const damaged = join(directory, "damaged.gguf");
    // The head stays; what is cut off or changed are the tensors and their descriptions.
    await writeFile(damaged, whole.subarray(0, Math.floor(whole.length * (0.3 + random.next() * 0.5))));
    const model = await open("llama:damaged.gguf");
    await assert.rejects(model.generate(request([user("go")]), never), (error) => {
      assert.ok(error instanceof ModelError && ["unreachable", "other"].includes(error.kind), String(error));
      return error.message.includes("damaged.gguf");
    });
    assert.equal((await engine.generate(asked('root ::= "well"'), never)).text, "well");
  });

  it("is read without being loaded: context and dimension, whole or refused", async () => {
    assert.deepEqual(await readGgufHeader(file), { architecture: "llama", contextTokens: 2_048, dimension: 32 });
    const whole = await readFile(file);
    for (const size of [0, 3, 4, 10, 30, 60]) {
      await writeFile(join(directory, "cut.gguf"), whole.subarray(0, size));
      await assert.rejects(readGgufHeader(join(directory, "cut.gguf")), (error) => GuildError.is(error, "invalid_argument"));
    }
    // Counts and lengths that a damaged or hostile file claims cost neither memory nor time.
    const hostile = Buffer.from(whole);
    hostile.writeBigUInt64LE(2n ** 62n, 24);
    await writeFile(join(directory, "cut.gguf"), hostile);
    await assert.rejects(readGgufHeader(join(directory, "cut.gguf")), (error) => GuildError.is(error, "invalid_argument"));
  });

  embedderContract("a model file in llama.cpp", () => models.embedder(file, "llama:tiny"));
});

describe("a grammar of replies", () => {
  let file = "";
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guild-grammar-"));
    file = join(directory, "tiny.gguf");
    await writeTinyGguf(file, { seed: 2 });
  });
  after(() => rm(directory, { recursive: true }));

  it("is one that llama.cpp takes, whatever schema tools bring", async () => {
    const engine = llamaEngine({ file, contextTokens: 512 });
    const odd: unknown[] = [
      {},
      true,
      { type: ["string", "null"], maxLength: 3 },
      { type: "object", additionalProperties: { type: "string" } },
      { type: "object", properties: { 'q"\\\n\u0001é': { const: 'x"\\\n' }, b: { anyOf: [{ type: "integer" }, { type: "null" }] } } },
      { type: "array", items: { oneOf: [{ const: 1 }, { enum: ["a", 'b"', null] }] }, minItems: 2, maxItems: 4 },
      { $ref: "#/$defs/x", $defs: { x: { type: "object" } } },
      { type: "string", pattern: "^a+$", minLength: 2, maxLength: 1 },
      { type: "array", maxItems: 0 },
      { type: "object", properties: { __proto__: null, a: { type: "array" } }, required: ["missing", "a"] },
    ];
    for (const schema of odd) {
      const grammar = schemaGrammar(schema);
      try {
        const { text, finish } = await engine.generate(
          { messages: [{ role: "user", text: "go" }], grammar, maxTokens: 40, temperature: 1 },
          never,
        );
        if (finish === "stop") JSON.parse(text);
      } catch (error) {
        assert.fail(`${JSON.stringify(schema)}: ${String(error)}\n${grammar}`);
      }
    }
  });

  it("goes to llama.cpp's server with the request, in its own field, and to no other", async () => {
    const server = await startFakeModelServer({ reply: () => ({ text: '<call tool="bash">\n{"command": "ls"}\n</call>' }) });
    try {
      const provider = createModelProvider({ clock: systemClock(), random: Math.random });
      const sent = async (spec: string): Promise<Record<string, unknown>> => {
        const model = await provider.open({ spec, baseUrl: server.baseUrl, credentials: {} });
        const reply = await model.generate({ ...request([user("go")]), tools }, never);
        if (!spec.startsWith("json:")) assert.equal(reply.toolCalls[0]?.arguments, '{"command": "ls"}');
        return server.requests.at(-1)?.body as Record<string, unknown>;
      };
      const body = await sent("text:llamacpp/m");
      assert.equal(body["grammar"], tagsGrammar(tools));
      assert.equal(body["tools"], undefined, "the server refuses both together");
      assert.equal((await sent("text:ollama/m"))["grammar"], undefined);
      assert.equal((await sent("llamacpp/m"))["grammar"], undefined);
      const json = await sent("json:llamacpp/m");
      assert.equal(json["grammar"], undefined);
      assert.equal((json["response_format"] as { type: string }).type, "json_schema");
    } finally {
      await server.close();
    }
  });
});

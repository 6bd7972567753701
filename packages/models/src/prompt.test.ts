import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { type ModelReply, systemClock } from "@guildhall/core";
import { type FakeModelServer, type FakeReply, request, startFakeModelServer, system, turn, user } from "@guildhall/core/testing";
import { BlobRefSchema, type PromptMessage, PromptMessageSchema, PromptRole } from "@guildhall/protocol";

import { argumentObject } from "./prompt.ts";
import { createModelProvider } from "./provider.ts";

type Json = Record<string, unknown>;

describe("what goes over the wire", () => {
  const provider = createModelProvider({ clock: systemClock(), random: Math.random });
  const credentials = { ANTHROPIC_API_KEY: "a", OPENAI_API_KEY: "o", GEMINI_API_KEY: "g", OPENROUTER_API_KEY: "r" };
  let server: FakeModelServer;
  before(async () => {
    server = await startFakeModelServer();
  });
  after(() => server.close());

  const ask = async (
    spec: string,
    messages: PromptMessage[],
    reply: FakeReply = { text: "ok" },
  ): Promise<{ reply: ModelReply; body: Json }> => {
    server.answer([reply]);
    const model = await provider.open({ spec, baseUrl: server.origin + (spec.startsWith("google") ? "/v1beta" : "/v1"), credentials });
    const given = await model.generate(request(messages), new AbortController().signal);
    return { reply: given, body: server.requests.at(-1)?.body as Json };
  };
  const thinking: FakeReply = { reasoning: "Let me see.", text: "I look.", calls: [{ tool: "bash", args: { command: "ls" } }], pieces: 2 };

  it("Anthropic: cache marks on the messages that ask for them, the first and the last three of many", async () => {
    const { body } = await ask("anthropic/claude-sonnet-5", [
      system("rules"),
      ...[1, 2, 3, 4, 5].map((n) => create(PromptMessageSchema, { role: PromptRole.USER, text: `m${n}`, cache: true })),
    ]);
    const marked = JSON.stringify(body["system"]) + JSON.stringify(body["messages"]);
    assert.equal(marked.split("cache_control").length - 1, 4);
    assert.match(JSON.stringify(body["system"]), /cache_control/);
    assert.doesNotMatch(JSON.stringify((body["messages"] as Json[])[0]), /m2","cache_control/);
  });

  it("OpenRouter: cache marks for Anthropic's models, on parts; none for others", async () => {
    const { body } = await ask("openrouter/anthropic/claude-sonnet-5", [system("rules"), user("go")]);
    assert.deepEqual((body["messages"] as Json[])[0], {
      role: "system",
      content: [{ type: "text", text: "rules", cache_control: { type: "ephemeral" } }],
    });
    const other = await ask("openrouter/google/gemini-3.5-flash", [system("rules"), user("go")]);
    assert.doesNotMatch(JSON.stringify(other.body), /cache_control/);
  });

  it("pictures: within a result, in a message after it, or told of in words", async () => {
    const picture = create(BlobRefSchema, { digest: "sha256:1", size: 3n, mediaType: "image/png" });
    const drawing = create(BlobRefSchema, { digest: "sha256:2", size: 3n, mediaType: "image/svg+xml" });
    const results = turn(
      {
        toolCalls: [{ callId: "c1", tool: "browser", arguments: "{}" }],
        text: "",
        reasoning: "",
        providerData: "",
      } as unknown as ModelReply,
      ["a page"],
    ).map((message) =>
      message.role === PromptRole.TOOL ? create(PromptMessageSchema, { ...message, images: [picture, drawing] }) : message,
    );
    const images = new Map([[picture.digest, Buffer.from("PNG")]]);
    const body = async (spec: string): Promise<string> => {
      server.answer([{ text: "ok" }]);
      const model = await provider.open({ spec, baseUrl: server.origin + (spec.startsWith("google") ? "/v1beta" : "/v1"), credentials });
      await model.generate({ ...request([user("go"), ...results]), images }, new AbortController().signal);
      return JSON.stringify(server.requests.at(-1)?.body);
    };
    const bytes = Buffer.from("PNG").toString("base64");
    assert.match(
      await body("anthropic/claude-sonnet-5"),
      new RegExp(`"type":"tool_result".*a page.*1 picture is not shown.*"type":"image".*${bytes}`),
    );
    assert.match(await body("openai/gpt-5.5"), new RegExp(`"function_call_output".*a page.*"input_image".*${bytes}`));
    assert.match(await body("google/gemini-3.5-flash"), new RegExp(`"functionResponse".*a page.*"inlineData".*${bytes}`));
    assert.match(
      await body("openai-chat/gpt-5.5"),
      new RegExp(`"role":"tool".*a page.*"role":"user".*pictures of these.*"image_url".*${bytes}`),
    );
    const blind = await body("openai-compatible/some");
    assert.match(blind, /a page\\n\[2 pictures are not shown to you: this model takes none; ask for text/);
    assert.ok(!blind.includes(bytes));
  });

  it("Gemini: never a cache mark", async () => {
    const { body } = await ask("google/gemini-3.5-flash", [system("rules"), user("go")]);
    assert.doesNotMatch(JSON.stringify(body), /cache/i);
  });

  it("OpenAI: the session is the key of the cache, and nothing is stored there", async () => {
    const responses = await ask("openai/gpt-5.5", [user("go")]);
    assert.equal(responses.body["prompt_cache_key"], "ses_contract");
    assert.equal(responses.body["store"], false);
    assert.equal((await ask("openai-chat/gpt-5.5", [user("go")])).body["prompt_cache_key"], "ses_contract");
  });

  it("Anthropic: thinking goes back with its signature", async () => {
    const { reply } = await ask("anthropic/claude-sonnet-5", [user("go")], thinking);
    const { body } = await ask("anthropic/claude-sonnet-5", [user("go"), ...turn(reply, ["a.ts"])]);
    const [block] = (body["messages"] as Array<{ content: Json[] }>)[1]?.content ?? [];
    assert.equal(block?.["thinking"], "Let me see.");
    assert.match(String(block?.["signature"]), /^signature of/);
  });

  it("OpenAI: sealed reasoning goes back with its item", async () => {
    const { reply } = await ask("openai/gpt-5.5", [user("go")], thinking);
    const { body } = await ask("openai/gpt-5.5", [user("go"), ...turn(reply, ["a.ts"])]);
    const item = (body["input"] as Json[]).find(({ type }) => type === "reasoning");
    assert.match(String(item?.["encrypted_content"]), /^sealed/);
    assert.deepEqual(body["include"], ["reasoning.encrypted_content"]);
  });

  it("Gemini: calls go back with their signatures", async () => {
    const { reply } = await ask("google/gemini-3.5-flash", [user("go")], thinking);
    const { body } = await ask("google/gemini-3.5-flash", [user("go"), ...turn(reply, ["a.ts"])]);
    assert.match(JSON.stringify(body["contents"]), /"functionCall":\{[^}]*"name":"bash".*"thoughtSignature":"/);
  });

  it("another provider's signatures, and those of texts that were changed, stay behind", async () => {
    const { reply } = await ask("anthropic/claude-sonnet-5", [user("go")], thinking);
    for (const spec of ["openai/gpt-5.5", "openai-compatible/fake", "google/gemini-3.5-flash"]) {
      const abroad = await ask(spec, [user("go"), ...turn(reply, ["a.ts"])]);
      assert.doesNotMatch(JSON.stringify(abroad.body), /signature of|Let me see/, spec);
    }
    const masked = await ask("anthropic/claude-sonnet-5", [user("go"), ...turn({ ...reply, reasoning: "Let *** see." }, ["a.ts"])]);
    assert.doesNotMatch(JSON.stringify(masked.body), /signature|Let \*/);
    assert.match(JSON.stringify(masked.body), /I look\./);
  });

  for (const spec of [
    "anthropic/claude-sonnet-5",
    "google/gemini-3.5-flash",
    "openai/gpt-5.5",
    "openai-chat/gpt-5.5",
    "openai-compatible/fake",
  ]) {
    it(`${spec}: calls whose arguments are no object go back as one`, async () => {
      const calls = ['{"command": "l', "[1]", "", '"text"'].map((args, index) => ({
        $typeName: "guildhall.v1.ToolCall" as const,
        callId: `c${index}`,
        tool: "bash",
        arguments: args,
      }));
      const reply = { text: "", reasoning: "", toolCalls: calls, providerData: "" } as unknown as ModelReply;
      const { body } = await ask(spec, [user("go"), ...turn(reply, ["1", "2", "3", "4"], true)]);
      const sent = sentArguments(body);
      assert.deepEqual(sent, [{ invalid_json: '{"command": "l' }, { not_an_object: [1] }, {}, { not_an_object: "text" }]);
    });
  }

  it("arguments go back to OpenAI's formats byte for byte", async () => {
    const args = '{ "command" : "ls",  "n": 12345678901234567890 }';
    const { reply } = await ask("openai-compatible/fake", [user("go")], { calls: [{ tool: "bash", args }] });
    for (const spec of ["openai-compatible/fake", "openai-chat/gpt-5.5", "openai/gpt-5.5"]) {
      const { body } = await ask(spec, [user("go"), ...turn(reply, ["out"])]);
      assert.ok(JSON.stringify(body).includes(JSON.stringify(args)), spec);
    }
  });

  it("empty texts are left out or named, so that no service refuses them", async () => {
    const silent = { text: " \n", reasoning: "", toolCalls: [], providerData: "" } as unknown as ModelReply;
    const { body } = await ask("anthropic/claude-sonnet-5", [system(""), user(""), ...turn(silent, []), user("go")]);
    assert.deepEqual(body["messages"], [
      {
        role: "user",
        content: [
          { type: "text", text: "(empty)" },
          { type: "text", text: "go" },
        ],
      },
    ]);
    assert.equal(body["system"], undefined);
  });

  it("the limit of the reply's length goes along", async () => {
    server.answer([{ text: "ok" }]);
    const model = await provider.open({ spec: "openai-compatible/fake", baseUrl: server.baseUrl, credentials });
    await model.generate({ ...request([user("go")]), maxOutputTokens: 77 }, new AbortController().signal);
    const body = server.requests.at(-1)?.body as Json | undefined;
    assert.equal(body?.["max_tokens"], 77);
  });

  it("a key of one's own goes to a compatible server", async () => {
    server.answer([{ text: "ok" }]);
    const model = await provider.open({
      spec: "openai-compatible/fake",
      baseUrl: server.baseUrl,
      credentials: { OPENAI_COMPATIBLE_API_KEY: "mine" },
    });
    await model.generate(request([user("go")]), new AbortController().signal);
    assert.equal(server.requests.at(-1)?.headers["authorization"], "Bearer mine");
  });
});

describe("arguments as an object", () => {
  it("keeps what the model wrote", () => {
    assert.deepEqual(argumentObject('{"a":1}'), { a: 1 });
    assert.deepEqual(argumentObject(" "), {});
    assert.deepEqual(argumentObject("{a"), { invalid_json: "{a" });
    assert.deepEqual(argumentObject("null"), { not_an_object: null });
  });
});

/** Arguments of every call in a request's body, whatever the format, as values. */
function sentArguments(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap(sentArguments);
  if (typeof value !== "object" || value === null) return [];
  const object = value as Json;
  if (object["type"] === "tool_use") return [object["input"]];
  if ("functionCall" in object) return [(object["functionCall"] as Json)["args"] ?? {}];
  if (typeof object["arguments"] === "string") return [JSON.parse(object["arguments"]) as unknown];
  return Object.values(object).flatMap(sentArguments);
}

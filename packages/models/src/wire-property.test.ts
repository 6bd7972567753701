import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { systemClock } from "@guildhall/core";
import { type FakeModelServer, request, seededRandom, startFakeModelServer, system, user } from "@guildhall/core/testing";
import { type PromptMessage, PromptMessageSchema, PromptRole } from "@guildhall/protocol";

import { createModelProvider } from "./provider.ts";

type Random = ReturnType<typeof seededRandom>;
type Body = Record<string, unknown>;

const provider = createModelProvider({ clock: systemClock(), random: Math.random });
const credentials = { ANTHROPIC_API_KEY: "a", OPENAI_API_KEY: "o", GEMINI_API_KEY: "g", OPENROUTER_API_KEY: "r" };
const TEXTS = ["", " ", "\n\n", "I look.", "é\u0000\u2028🙂", "\ud800", '<call tool="bash">', "x".repeat(3_000)];
const ARGUMENTS = ['{"command":"ls"}', "{}", "", '{"command": "l', "[1]", "null", '"text"', '{"__proto__":{"a":1}}'];

/** A view as the agent makes them: results follow their calls; everything else is as models, people and tools happen to be. */
function conversation(random: Random): PromptMessage[] {
  const messages = [system("You work."), user("Go.")];
  let calls = 0;
  for (let turns = random.below(8); turns > 0; turns -= 1) {
    const toolCalls = Array.from({ length: random.below(4) }, () => ({
      callId: `call_${(calls += 1)}`,
      tool: "bash",
      arguments: random.pick(ARGUMENTS),
    }));
    messages.push(
      create(PromptMessageSchema, { role: PromptRole.ASSISTANT, text: random.pick(TEXTS), reasoning: random.pick(TEXTS), toolCalls }),
    );
    for (const { callId } of random.chance(0.5) ? toolCalls : toolCalls.toReversed())
      messages.push(
        create(PromptMessageSchema, { role: PromptRole.TOOL, callId, tool: "bash", text: random.pick(TEXTS), isError: random.chance(0.3) }),
      );
    for (let more = toolCalls.length === 0 ? 1 + random.below(2) : random.below(3); more > 0; more -= 1)
      messages.push(user(random.pick(TEXTS)));
  }
  return messages;
}

describe("any view becomes a request that the service's format allows", () => {
  let server: FakeModelServer;
  before(async () => {
    server = await startFakeModelServer({ reply: () => ({ text: "done" }) });
  });
  after(() => server.close());

  for (const [spec, path, check] of [
    ["anthropic/claude-sonnet-5", "/v1", checkAnthropic],
    ["google/gemini-3.5-flash", "/v1beta", checkGoogle],
    ["openai/gpt-5.5", "/v1", checkResponses],
    ["openai-chat/gpt-5.5", "/v1", checkChat],
    ["openrouter/anthropic/claude-sonnet-5", "/v1", checkChat],
    ["ollama/m", "/v1", checkChat],
    ["text:ollama/m", "/v1", checkText],
    ["json:llamacpp/m", "/v1", checkText],
  ] as Array<[string, string, (body: Body) => void]>) {
    it(spec, async () => {
      const random = seededRandom();
      const model = await provider.open({ spec, baseUrl: server.origin + path, credentials });
      for (let round = 0; round < 40; round += 1) {
        const messages = conversation(random.fork());
        await model.generate(request(messages), new AbortController().signal);
        const body = server.requests.at(-1)?.body as Body;
        try {
          check(body);
        } catch (error) {
          assert.fail(`seed ${random.seed}, round ${round}: ${String(error)}\n${JSON.stringify(body).slice(0, 2_000)}`);
        }
      }
    });
  }
});

/** Roles take turns, beginning with the user; no text is empty or blank at an end; each call has its result in the very next message, first in it. */
function checkAnthropic(body: Body): void {
  const messages = body["messages"] as Array<{ role: string; content: Array<Record<string, unknown>> }>;
  for (const [at, { role, content }] of messages.entries()) {
    assert.equal(role, at % 2 === 0 ? "user" : "assistant");
    assert.ok(content.length > 0, "no content");
    for (const block of content) {
      if (block["type"] === "text") assert.notEqual(String(block["text"]).trim(), "");
      if (block["type"] === "tool_use") assert.ok(isObject(block["input"]));
    }
    const calls = content.filter((block) => block["type"] === "tool_use").map((block) => block["id"]);
    const results = (messages[at + 1]?.content ?? []).slice(0, calls.length).map((block) => block["tool_use_id"]);
    assert.deepEqual(new Set(results), new Set(calls));
    const answered = content.filter((block) => block["type"] === "tool_result").length;
    assert.equal(answered, (messages[at - 1]?.content ?? []).filter((block) => block["type"] === "tool_use").length);
  }
}

/** As many responses as calls in the next content; no part is empty; turns begin with the user. */
function checkGoogle(body: Body): void {
  const contents = body["contents"] as Array<{ role: string; parts: Array<Record<string, unknown>> }>;
  assert.equal(contents[0]?.role, "user");
  for (const [at, { role, parts }] of contents.entries()) {
    assert.ok(parts.length > 0, "no parts");
    for (const part of parts) if ("text" in part) assert.notEqual(part["text"], "");
    const calls = parts.filter((part) => "functionCall" in part);
    for (const part of calls) assert.ok(isObject((part["functionCall"] as Body)["args"]));
    if (role !== "model" || calls.length === 0) continue;
    const responses = (contents[at + 1]?.parts ?? []).filter((part) => "functionResponse" in part);
    assert.equal(responses.length, calls.length);
  }
}

/** Each call item has one output item after it. */
function checkResponses(body: Body): void {
  const input = body["input"] as Array<Record<string, unknown>>;
  const open = new Set<unknown>();
  for (const item of input) {
    if (item["type"] === "function_call") open.add(item["call_id"]);
    else if (item["type"] === "function_call_output") assert.ok(open.delete(item["call_id"]), "an output without its call");
    else if (item["role"] === "user") assert.equal(open.size, 0, "a call without its output");
  }
  assert.equal(open.size, 0);
}

/** After a message with calls come their results and nothing else; a message says or calls something. */
function checkChat(body: Body): void {
  const messages = body["messages"] as Array<Record<string, unknown>>;
  const open = new Set<unknown>();
  for (const message of messages) {
    if (message["role"] === "tool") {
      assert.ok(open.delete(message["tool_call_id"]), "a result without its call");
      continue;
    }
    assert.equal(open.size, 0, "a call without its result");
    const calls = (message["tool_calls"] ?? []) as Array<{ id: string; function: { arguments: string } }>;
    for (const call of calls) {
      open.add(call.id);
      assert.ok(isObject(JSON.parse(call.function.arguments)), call.function.arguments);
    }
    const { content } = message;
    if (calls.length === 0)
      assert.ok(content !== null && content !== undefined && content !== "", `an empty message of the ${String(message["role"])}`);
  }
  assert.equal(open.size, 0);
}

/** No functions at all, and user and assistant in turn: templates of small models allow nothing else. */
function checkText(body: Body): void {
  assert.equal(body["tools"], undefined);
  const roles = (body["messages"] as Array<{ role: string; content: unknown }>).map(({ role }) => role);
  assert.equal(roles[0], "system");
  for (const [at, role] of roles.slice(1).entries()) assert.equal(role, at % 2 === 0 ? "user" : "assistant", roles.join());
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

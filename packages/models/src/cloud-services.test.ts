import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { systemClock } from "@guildhall/core";
import {
  type FakeBedrockServer,
  type FakeModelServer,
  isKind,
  request,
  startFakeBedrockServer,
  startFakeModelServer,
  user,
} from "@guildhall/core/testing";
import { PromptMessageSchema, PromptRole, ToolSchemaSchema } from "@guildhall/protocol";

import { createModelProvider } from "./provider.ts";

const signal = new AbortController().signal;
const provider = createModelProvider({ clock: systemClock(), random: () => 0, retry: { baseMs: 0, attempts: 2 } });
const tools = [create(ToolSchemaSchema, { name: "bash", description: "Runs.", schema: '{"type":"object","properties":{}}' })];

describe("Amazon Bedrock", () => {
  let server: FakeBedrockServer;
  before(async () => void (server = await startFakeBedrockServer()));
  after(() => server.close());
  const open = (credentials: Record<string, string>) =>
    provider.open({ spec: "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", baseUrl: server.origin, credentials });

  it("gives text and calls, and takes their results back", async () => {
    server.answer([{ text: "I look.", calls: [{ tool: "bash", args: { command: "ls" } }] }, { text: "done" }]);
    const model = await open({ AWS_BEARER_TOKEN_BEDROCK: "bearer-key" });
    const reply = await model.generate({ ...request([user("go")]), tools }, signal);
    assert.deepEqual([reply.text, reply.toolCalls[0]?.tool, reply.toolCalls[0]?.arguments], ["I look.", "bash", '{"command":"ls"}']);
    assert.equal(reply.usage?.inputTokens, 10);
    const [sent] = server.requests;
    assert.match(sent?.path ?? "", /^\/model\/anthropic\.claude[^/]*\/converse-stream$/);
    assert.equal(sent?.headers.authorization, "Bearer bearer-key");
    const [call] = reply.toolCalls;
    const conversation = [
      user("go"),
      create(PromptMessageSchema, {
        role: PromptRole.ASSISTANT,
        text: reply.text,
        toolCalls: reply.toolCalls,
        providerData: reply.providerData,
      }),
      create(PromptMessageSchema, { role: PromptRole.TOOL, callId: call?.callId ?? "", tool: "bash", text: "a.txt" }),
    ];
    assert.equal((await model.generate({ ...request(conversation), tools }, signal)).text, "done");
    assert.match(JSON.stringify(server.requests.at(-1)?.body), /"toolResult":\{"toolUseId":"tooluse_1".*a\.txt/);
  });

  it("is asked with signed requests where there are keys of the account", async () => {
    server.answer([{ text: "hello" }]);
    const model = await open({
      AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
      AWS_SECRET_ACCESS_KEY: "secret",
      AWS_SESSION_TOKEN: "session",
      AWS_REGION: "eu-central-1",
    });
    assert.equal((await model.generate(request([user("go")]), signal)).text, "hello");
    const headers = server.requests.at(-1)?.headers;
    assert.match(headers?.authorization ?? "", /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d+\/eu-central-1\/bedrock\/aws4_request/);
    assert.equal(headers?.["x-amz-security-token"], "session");
  });

  for (const [status, code, kind] of [
    [403, "AccessDeniedException", "authentication"],
    [429, "ThrottlingException", "rate_limited"],
    [400, "ValidationException", "bad_request"],
  ] as const) {
    it(`names a failure with ${status} ${kind}`, async () => {
      server.answer([{ fault: { kind: "status", status, code, message: "no" } }]);
      const model = await open({ AWS_BEARER_TOKEN_BEDROCK: "bearer-key" });
      await assert.rejects(model.generate(request([user("go")]), signal), isKind(kind));
    });
  }
});

describe("Azure OpenAI", () => {
  let server: FakeModelServer;
  before(async () => void (server = await startFakeModelServer()));
  after(() => server.close());

  it("is OpenAI's interface at the resource's address, with its own key", async () => {
    server.answer([{ text: "hello" }]);
    const credentials = { AZURE_OPENAI_API_KEY: "azure-key", OPENAI_API_KEY: "openai-key" };
    const model = await provider.open({ spec: "azure/my-deployment", baseUrl: server.origin, credentials });
    assert.equal((await model.generate(request([user("go")]), signal)).text, "hello");
    const [sent] = server.requests;
    assert.equal(sent?.path, "/openai/v1/responses");
    assert.equal(sent?.headers["api-key"], "azure-key");
    assert.equal((sent?.body as { model?: unknown } | undefined)?.model, "my-deployment");
    assert.ok(!JSON.stringify(sent?.headers).includes("openai-key"));
  });
});

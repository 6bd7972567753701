import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type FakeModelServer, inConversation, startFakeBedrockServer, startFakeModelServer } from "@guildhall/core/testing";

import { Home, jsonLines } from "./cli/guild.ts";
import { verifies } from "./verifies.ts";

/** Specification, the key that its provider wants, and the wire that it then speaks. */
const providers: Array<[spec: string, key: string, wire: string, path: string]> = [
  ["openai/gpt-test", "OPENAI_API_KEY", "openai-responses", "/v1"],
  ["openai-chat/gpt-test", "OPENAI_API_KEY", "openai-chat", "/v1"],
  ["anthropic/claude-test", "ANTHROPIC_API_KEY", "anthropic", "/v1"],
  ["google/gemini-test", "GEMINI_API_KEY", "google", "/v1beta"],
  ["azure/deployment", "AZURE_OPENAI_API_KEY", "openai-responses", "/openai/v1"],
  ["openrouter/maker/test", "OPENROUTER_API_KEY", "openai-chat", "/v1"],
  ["openai-compatible/test", "OPENAI_COMPATIBLE_API_KEY", "openai-chat", "/v1"],
  ["ollama/test", "", "openai-chat", "/v1"],
  ["llamacpp/test", "", "openai-chat", "/v1"],
  ["tabbyapi/test", "TABBY_API_KEY", "openai-chat", "/v1"],
];

describe("one string chooses the model", () => {
  let home: Home;
  let server: FakeModelServer;
  before(async () => {
    home = new Home();
    server = await startFakeModelServer();
  });
  after(async () => {
    await home.remove();
    await server.close();
  });

  for (const [spec, key, wire, path] of providers) {
    it(`${spec} works on a goal, its key reaches nobody else`, async () => {
      verifies("D1");
      const secret = `secret-of-${spec.replaceAll("/", "-")}`;
      server.answer(
        inConversation([
          { calls: [{ tool: "bash", args: { command: "printf made >made" } }] },
          { calls: [{ tool: "finish", args: { summary: "made it", done: true } }] },
        ]),
      );
      const seen = server.requests.length;
      const workspace = home.sample();
      const run = await home.guild(
        ["run", "Make it.", "--workspace", workspace, "--model", spec, "--base-url", `${server.origin}${path}`, "--json"],
        {
          env: key === "" ? {} : { [key]: secret },
        },
      );
      assert.equal(run.code, 0, run.stdout + run.stderr);
      assert.equal(readFileSync(join(workspace, "made"), "utf8"), "made");
      const requests = server.requests.slice(seen);
      assert.deepEqual(new Set(requests.map((request) => request.wire)), new Set([wire]));
      if (key !== "") assert.ok(requests.every((request) => JSON.stringify(request.headers).includes(secret)));
      assert.ok(!run.stdout.includes(secret) && !JSON.stringify(requests.map((request) => request.body)).includes(secret));
      assert.equal(jsonLines(run.stdout).at(-1)?.["reason"], "done");
    });
  }

  const goal = (workspace: string, ...args: string[]) => home.guild(["run", "Make it.", "--workspace", workspace, "--json", ...args]);
  const steps = ["printf made >made", undefined].map((command, place) => ({
    text: `Step ${place}.\n<tool_call>\n${JSON.stringify(command === undefined ? { name: "finish", arguments: { summary: "made it", done: true } } : { name: "bash", arguments: { command } })}\n</tool_call>`,
  }));

  it("a model that cannot call functions works on a goal through text, chosen by the server's word or by the specification", async () => {
    verifies("B5", "D2");
    const byServer = inConversation(steps);
    server.answer((request) => {
      const offered = (request.body as { tools?: unknown }).tools !== undefined;
      return offered ? { fault: { kind: "status", status: 400, message: "fake does not support tools" } } : byServer(request);
    });
    for (const spec of ["ollama/fake", "text:ollama/fake"]) {
      const workspace = home.sample();
      const run = await goal(workspace, "--model", spec, "--base-url", `${server.origin}/v1`);
      assert.equal(run.code, 0, run.stdout + run.stderr);
      assert.equal(readFileSync(join(workspace, "made"), "utf8"), "made");
    }
    const said = inConversation([
      { calls: [], text: JSON.stringify({ say: "Now.", calls: [{ tool: "bash", arguments: { command: "printf made >made" } }] }) },
      { calls: [], text: JSON.stringify({ say: "", calls: [{ tool: "finish", arguments: { summary: "made it", done: true } }] }) },
    ]);
    server.answer(said);
    const workspace = home.sample();
    const run = await goal(workspace, "--model", "json:openai-compatible/fake", "--base-url", `${server.origin}/v1`);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    assert.equal(readFileSync(join(workspace, "made"), "utf8"), "made");
    assert.match(JSON.stringify(server.requests.at(-1)?.body), /json_schema/);
  });

  it("the next model of a chain goes on where one fails, and roles and modules are named in the settings", async () => {
    verifies("D1", "D3");
    const module = home.write(
      "house.mjs",
      `export const createModel = ({ model, open }) => ({
        info: { spec: open.spec, provider: "house", contextTokens: 32000, maxOutputTokens: 4000, price: undefined },
        async generate() {
          const call = { callId: "c", tool: "finish", arguments: JSON.stringify({ summary: "by " + model, done: true }) };
          return { text: "", reasoning: "", toolCalls: [call], finishReason: "tool_calls", durationMs: 0, model: open.spec, providerData: "" };
        },
        async close() {},
      });`,
    );
    home.write(
      "guild/config/settings.toml",
      `[routes]\nreviewer = "openai-compatible/gone@http://127.0.0.1:9/v1|house/small"\n[modules]\nhouse = ${JSON.stringify(module)}\n`,
    );
    const run = await goal(home.sample(), "--model", "role:reviewer");
    assert.equal(run.code, 0, run.stdout + run.stderr);
    assert.match(run.stdout, /"summary":"by small"/);
    assert.match(run.stdout, /"model":"house\/small"/);
  });

  it("Bedrock works on a goal", async () => {
    verifies("D1");
    const bedrock = await startFakeBedrockServer();
    try {
      bedrock.answer([
        { calls: [{ tool: "bash", args: { command: "printf made >made" } }] },
        { calls: [{ tool: "finish", args: { summary: "made it", done: true } }] },
      ]);
      const workspace = home.sample();
      const run = await home.guild(
        ["run", "Make it.", "--workspace", workspace, "--model", "bedrock/amazon.nova-pro-v1:0", "--base-url", bedrock.origin],
        {
          env: { AWS_BEARER_TOKEN_BEDROCK: "bearer" },
        },
      );
      assert.equal(run.code, 0, run.stdout + run.stderr);
      assert.equal(readFileSync(join(workspace, "made"), "utf8"), "made");
    } finally {
      await bedrock.close();
    }
  });

  it("models are listed with how to start them, and tested", async () => {
    verifies("D2");
    const listed = jsonLines((await home.guild(["model", "list", "--json"], { env: { ANTHROPIC_API_KEY: "key" } })).stdout);
    const state = (id: string) => listed.find((line) => line["id"] === id)?.["state"];
    assert.deepEqual([state("anthropic"), state("google")], ["ready", "set GEMINI_API_KEY"]);
    assert.match((await home.guild(["model", "presets"])).stdout, /TabbyAPI \(ExLlama\)[\s\S]*--model tabbyapi\/<model>/);
    server.answer([{ calls: [{ tool: "add", args: { a: 17, b: 25 } }] }, { text: "42" }]);
    const good = await home.guild(["model", "test", "vllm/x", "--base-url", `${server.origin}/v1`]);
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /vllm\/x: calls functions/);
    const bad = await home.guild(["model", "test", "vllm/x", "--base-url", `${server.origin}/v1`]);
    assert.equal(bad.code, 1);
    assert.match(bad.stdout, /does not call functions[\s\S]*text:vllm\/x/);
    for (const [spec, advice] of [
      ["text:vllm/x", /asked with text already; try it with JSON: guild model test json:vllm\/x\n/],
      ["json:vllm/x", /asked for JSON already: try a model that is larger/],
    ] as const)
      assert.match((await home.guild(["model", "test", spec, "--base-url", `${server.origin}/v1`])).stdout, advice);
  });

  it("a session goes on with another model while it works", async () => {
    verifies("D1");
    const changedModel = Promise.withResolvers<void>();
    server.answer(async () => {
      await changedModel.promise;
      return { calls: [{ tool: "bash", args: { command: "true" } }] };
    });
    const workspace = home.sample();
    const run = home.start([
      "run",
      "Go.",
      "--workspace",
      workspace,
      "--model",
      "ollama/slow",
      "--base-url",
      `${server.origin}/v1`,
      "--json",
    ]);
    await run.until(/lease_taken/);
    const session = String(jsonLines((await home.guild(["session", "list", "--workspace", workspace, "--json"])).stdout)[0]?.["id"]);
    const script = home.write(
      "other.json",
      JSON.stringify([{ say: "" }, { calls: [{ tool: "finish", args: { summary: "by the other" } }] }]),
    );
    const changed = await home.guild(["session", "model", session, `scripted:${script}`]);
    if (changed.code !== 0) changedModel.resolve();
    assert.equal(changed.code, 0, changed.stderr);
    changedModel.resolve();
    const { code, stdout } = await run.finished;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /"summary":"by the other"/);
    const wrong = await home.guild(["session", "model", session, "nobody/large"]);
    assert.equal(wrong.code, 2, "what cannot be opened is refused before anything is stored");
  });
});

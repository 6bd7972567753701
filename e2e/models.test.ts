import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { type FakeModelServer, inConversation, startFakeModelServer } from "@guildhall/core/testing";

import { Home, jsonLines } from "./cli/guild.ts";
import { verifies } from "./verifies.ts";

/** Specification, the key that its provider wants, and the wire that it then speaks. */
const providers: Array<[spec: string, key: string, wire: string, path: string]> = [
  ["openai/gpt-test", "OPENAI_API_KEY", "openai-responses", "/v1"],
  ["openai-chat/gpt-test", "OPENAI_API_KEY", "openai-chat", "/v1"],
  ["anthropic/claude-test", "ANTHROPIC_API_KEY", "anthropic", "/v1"],
  ["google/gemini-test", "GEMINI_API_KEY", "google", "/v1beta"],
  ["openrouter/maker/test", "OPENROUTER_API_KEY", "openai-chat", "/v1"],
  ["openai-compatible/test", "OPENAI_COMPATIBLE_API_KEY", "openai-chat", "/v1"],
  ["ollama/test", "", "openai-chat", "/v1"],
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
});

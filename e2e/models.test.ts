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
});

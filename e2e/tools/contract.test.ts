import assert from "node:assert/strict";
import { test } from "node:test";

import { createBuiltInTools, offerTools, ToolSet } from "@guildhall/agent";
import { createCodeStructure } from "@guildhall/code";
import type { SandboxProvider, ToolContext } from "@guildhall/core";
import { type ToolFixture, toolContract } from "@guildhall/core/testing";

import { verifies } from "../verifies.ts";
import { describeInProviders } from "./providers.ts";
import { openToolBench } from "./tool-bench.ts";

const examples: Record<string, Omit<ToolFixture, "open">> = {
  bash: {
    examples: [
      { args: { command: "echo hello" }, status: "ok" },
      { args: { command: "false", timeout_s: 5 }, status: "error" },
      { args: { command: "true", background: true }, status: "ok" },
      { args: { input: "x" }, status: "error" },
      { args: { reset: true }, status: "ok" },
    ],
    refused: [{ command: 1 }, { command: "x", timeout_s: -1 }, { cmd: "x" }],
  },
  edit: {
    examples: [
      { args: { command: "create", path: "a.txt", file_text: "one\n" }, status: "ok" },
      { args: { command: "view", path: "a.txt", view_range: [1, -1] }, status: "ok" },
      { args: { command: "str_replace", path: "a.txt", old_str: "one", new_str: "two" }, status: "ok" },
      { args: { command: "insert", path: "a.txt", insert_line: 1, new_str: "three" }, status: "ok" },
      { args: { command: "undo", path: "a.txt" }, status: "ok" },
      { args: { command: "view", path: "/etc/passwd" }, status: "error" },
    ],
    refused: [
      { command: "view" },
      { command: "delete", path: "a" },
      { command: "insert", path: "a", insert_line: 1.5 },
      { command: "view", path: "" },
    ],
  },
  apply_patch: {
    examples: [
      { args: { patch: "*** Begin Patch\n*** Add File: p/q\n+1\n*** End Patch" }, status: "ok" },
      { args: { patch: "--- a/p/q\n+++ b/p/q\n@@ -1 +1 @@\n-1\n+2\n" }, status: "ok" },
      { args: { patch: "no patch" }, status: "error" },
    ],
    refused: [{}, { patch: "" }],
  },
  search: {
    examples: [
      { args: { pattern: "a" }, status: "ok" },
      { args: { pattern: "*.ts", kind: "files" }, status: "ok" },
      { args: { pattern: "(" }, status: "error" },
    ],
    refused: [{}, { pattern: "" }, { pattern: "a", max_results: 0 }],
  },
  think: { examples: [{ args: { thought: "hm" }, status: "ok" }], refused: [{}] },
  task_tracker: {
    examples: [
      { args: { command: "plan", tasks: [{ title: "one", status: "todo" }] }, status: "ok" },
      { args: { command: "view" }, status: "ok" },
      { args: { command: "plan" }, status: "error" },
    ],
    refused: [
      { command: "plan", tasks: [{ title: "", status: "todo" }] },
      { command: "plan", tasks: [{ title: "x", status: "later" }] },
    ],
  },
  process: {
    examples: [
      { args: { action: "start", command: "cat" }, status: "ok" },
      { args: { action: "list" }, status: "ok" },
      { args: { action: "input", process: "p1", input: "hello there" }, status: "ok" },
      { args: { action: "output", process: "p1" }, status: "ok" },
      { args: { action: "stop", process: "p1" }, status: "ok" },
      { args: { action: "signal", process: "p1", signal: "SIGHUP" }, status: "error" },
      { args: { action: "wait", process: "p9" }, status: "error" },
      { args: { action: "start" }, status: "error" },
    ],
    refused: [{}, { action: "fork" }, { action: "wait", process: "p1", port: 0 }],
  },
  ports: {
    examples: [
      { args: {}, status: "ok" },
      { args: { port: 1 }, status: "ok" },
    ],
    refused: [{ port: 70_000 }],
  },
  system: {
    examples: [
      { args: {}, status: "ok" },
      { args: { processes: 0 }, status: "ok" },
    ],
    refused: [{ processes: -1 }],
  },
  ast: {
    examples: [
      { args: { pattern: "f($A)", language: "typescript" }, status: "ok" },
      { args: { pattern: "f($A)", language: "typescript", rewrite: "g($A)" }, status: "ok" },
      { args: { pattern: "f($A)", language: "typescript", rewrite: "g($A)", apply: true }, status: "ok" },
      { args: { pattern: "f($A)", language: "cobol" }, status: "error" },
      { args: { pattern: "f($A)" }, status: "error" },
      { args: { pattern: "f($A)", language: "go", path: "../x" }, status: "error" },
    ],
    refused: [{}, { pattern: "" }, { pattern: "f", max_results: 0 }],
  },
  python: {
    examples: [
      { args: { code: "1 + 1" }, status: "ok" },
      { args: { code: "1 / 0" }, status: "error" },
      { args: { restart: true }, status: "ok" },
      { args: {}, status: "error" },
    ],
    refused: [{ code: 1 }, { timeout_s: 0 }],
  },
  node: {
    examples: [
      { args: { code: "1 + 1" }, status: "ok" },
      { args: { code: "throw 1" }, status: "error" },
      { args: { restart: true }, status: "ok" },
      { args: {}, status: "error" },
    ],
    refused: [{ code: 1 }, { timeout_s: 0 }],
  },
  browser: {
    examples: [
      { args: { command: "snapshot" }, status: "error" },
      { args: { command: "click", ref: "e1" }, status: "error" },
      { args: { command: "upload", ref: "e1", paths: ["a"] }, status: "error" },
      { args: { command: "close" }, status: "ok" },
    ],
    refused: [{}, { command: "fly" }, { command: "open", url: "" }, { command: "tabs", tab: -1 }],
  },
  desktop: {
    examples: [
      { args: { command: "screenshot" }, status: "error" },
      { args: { command: "click", x: 1, y: 1 }, status: "error" },
      { args: { command: "start" }, status: "error" },
      { args: { command: "stop" }, status: "ok" },
    ],
    refused: [{}, { command: "dance" }, { command: "click", x: -1, y: 0 }, { command: "start", program: "x", size: "1x1" }],
  },
  fetch: {
    examples: [
      { args: { url: "https://www.example.com/" }, status: "error" },
      { args: { url: "file:///etc/passwd" }, status: "error" },
      { args: { url: "http://localhost:1/", save_to: "a" }, status: "error" },
    ],
    refused: [{}, { url: "" }, { url: "https://a", timeout_s: 0 }],
  },
  http: {
    examples: [
      { args: { url: "https://www.example.com/" }, status: "error" },
      { args: { url: "http://localhost:1/", method: "POST", json: { a: 1 } }, status: "error" },
      { args: { url: "gopher://a" }, status: "error" },
      { args: { url: "http://localhost:1/", body: "a", json: {} }, status: "error" },
    ],
    refused: [{}, { url: "https://a", method: "BREW" }, { url: "https://a", headers: { a: 1 } }],
  },
  dns: {
    examples: [
      { args: { name: "www.example.com" }, status: "error" },
      { args: { name: "127.0.0.1", types: ["A"] }, status: "error" },
    ],
    refused: [{}, { name: "a", types: ["ANY"] }, { name: "a", types: [] }],
  },
  web_search: { examples: [{ args: { query: "bees" }, status: "error" }], refused: [{}, { query: "" }] },
  finish: { examples: [{ args: { summary: "done" }, status: "ok" }], refused: [{}, { summary: 1 }] },
};

await describeInProviders("contract", (provider) => {
  for (const tool of createBuiltInTools({ workspace: "/w", codeStructure: async () => createCodeStructure() })) {
    const known = examples[tool.name];
    assert.ok(known, `examples for ${tool.name}`);
    toolContract(tool, { ...known, open: () => openFixture(provider) });
  }
});

async function openFixture(provider: SandboxProvider): ReturnType<ToolFixture["open"]> {
  const bench = await openToolBench(provider);
  return {
    context: (signal = new AbortController().signal): ToolContext => ({
      session: bench.session,
      callId: "call_1",
      signal,
      progress: () => undefined,
    }),
    close: async () => bench[Symbol.asyncDispose](),
  };
}

test("what models are told of the tools is small and always the same", () => {
  verifies("D4");
  const offer = (): string =>
    JSON.stringify(offerTools(new ToolSet(createBuiltInTools({ workspace: "/w", codeStructure: async () => createCodeStructure() }))));
  assert.equal(offer(), offer());
  assert.ok(offer().length <= 5_500, `${offer().length} bytes`);
});

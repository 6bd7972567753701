import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { readErrorBody, readServiceError } from "./service-error.ts";

describe("what a service says went wrong", () => {
  for (const [service, body, expected] of [
    [
      "OpenAI",
      { error: { message: "Too long.", type: "invalid_request_error", param: null, code: "context_length_exceeded" } },
      [undefined, "context_length_exceeded invalid_request_error", "Too long."],
    ],
    [
      "Anthropic",
      { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
      [undefined, "overloaded_error", "Overloaded"],
    ],
    ["Google", [{ error: { code: 429, message: "Quota", status: "RESOURCE_EXHAUSTED" } }], [429, "RESOURCE_EXHAUSTED", "Quota"]],
    ["OpenRouter", { error: { code: 502, message: "Upstream" } }, [502, undefined, "Upstream"]],
    [
      "llama.cpp",
      { error: { code: 400, message: "the request", type: "exceed_context_size_error", n_ctx: 4096 } },
      [400, "exceed_context_size_error", "the request"],
    ],
    ["vLLM", { object: "error", message: "Bad", type: "BadRequestError", param: null, code: 400 }, [400, "BadRequestError", "Bad"]],
    ["Ollama", { error: "model 'x' not found" }, [undefined, undefined, "model 'x' not found"]],
    ["FastAPI", { detail: "Not Found" }, [undefined, undefined, "Not Found"]],
    ["nobody", 7, [undefined, undefined, ""]],
  ] as const) {
    it(`is read in the shape of ${service}`, () => {
      const { status, code, message } = readErrorBody(JSON.stringify(body));
      assert.deepEqual([status, code, message], expected);
    });
  }

  it("is one line of bearable length, from a page or from anything thrown", () => {
    assert.equal(readErrorBody("<html><h1>502\tBad   Gateway</h1>\n<p>nginx</html>").message, "502 Bad Gateway");
    assert.equal(readErrorBody(JSON.stringify({ error: { message: "x".repeat(9000) } })).message.length, 501);
    assert.equal(readServiceError("plain").message, "plain");
    assert.equal(readServiceError(undefined).message, "undefined");
    assert.equal(readServiceError(new RangeError("first\nsecond")).message, "first");
  });
});

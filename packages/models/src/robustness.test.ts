import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";

import { type Clock, type Model, ModelError, type ModelFailureKind, systemClock } from "@guildhall/core";
import { type FakeFault, type FakeModelServer, type FakeReply, isKind, request, startFakeModelServer, user } from "@guildhall/core/testing";

import { createModelProvider, type ModelProviderOptions } from "./provider.ts";

const credentials = { ANTHROPIC_API_KEY: "sk-secret-a", OPENAI_API_KEY: "sk-secret-o", GEMINI_API_KEY: "sk-secret-g" };

/** Waits for nothing and remembers for how long it should have. */
function hastyClock(): Clock & { sleeps: number[] } {
  const sleeps: number[] = [];
  return {
    ...systemClock(),
    now: () => new Date("2026-10-01T12:00:00Z"),
    sleeps,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
    },
  };
}

const fault = (value: FakeFault): FakeReply => ({ fault: value });
const status = (code: number, more: Omit<Extract<FakeFault, { kind: "status" }>, "kind" | "status"> = {}): FakeReply =>
  fault({ kind: "status", status: code, ...more });
const call = { tool: "bash", args: { command: "rm -rf build" } };

for (const [spec, path] of [
  ["anthropic/claude-sonnet-5", "/v1"],
  ["openai/gpt-5.5", "/v1"],
  ["openai-chat/gpt-5.5", "/v1"],
  ["google/gemini-3.5-flash", "/v1beta"],
  ["openai-compatible/fake", "/v1"],
] as const) {
  describe(`${spec} when the service goes wrong`, () => {
    let server: FakeModelServer;
    let clock: ReturnType<typeof hastyClock>;
    let waits: string[];
    before(async () => {
      server = await startFakeModelServer();
    });
    after(() => server.close());
    beforeEach(() => {
      server.requests.length = 0;
      clock = hastyClock();
      waits = [];
    });

    const open = (options: Partial<ModelProviderOptions> = {}): Promise<Model> =>
      createModelProvider({ clock, random: () => 0.5, ...options }).open({ spec, baseUrl: server.origin + path, credentials });
    const generate = async (replies: FakeReply[], options: Partial<ModelProviderOptions> = {}, signal = new AbortController().signal) => {
      server.answer(replies);
      const model = await open(options);
      return model.generate(request([user("go")]), signal, { waiting: (reason) => waits.push(reason) });
    };
    const failsAs = async (
      kind: ModelFailureKind,
      replies: FakeReply[],
      options: Partial<ModelProviderOptions> = {},
    ): Promise<ModelError> => {
      try {
        await generate(replies, options);
      } catch (error) {
        isKind(kind)(error);
        assert.ok(error instanceof ModelError);
        assert.doesNotMatch(error.message, /sk-secret/);
        assert.doesNotMatch(error.message, /\n/);
        return error;
      }
      throw new assert.AssertionError({ message: `expected a failure of kind ${kind}` });
    };

    it("waits out what passes, longer each time, and says so", async () => {
      const passing = [408, 409, 429, 500, 529].map((code) => status(code));
      const reply = await generate([...passing, { text: "at last" }]);
      assert.equal(reply.text, "at last");
      assert.equal(server.requests.length, 6);
      assert.deepEqual(clock.sleeps, [250, 500, 1000, 2000, 4000]);
      assert.match(waits[2] ?? "", /^retry 4 of 6 in 1\.0 s: .*429/);
    });

    it("gives up after the last attempt, with the service's words", async () => {
      const error = await failsAs(
        "overloaded",
        Array.from({ length: 9 }, () => status(503, { message: "the kitchen is closed" })),
      );
      assert.equal(server.requests.length, 6);
      assert.equal(error.attempts, 6);
      assert.match(error.message, /503.*the kitchen is closed/);
      assert.ok(error.remedy !== undefined);
    });

    it("honours Retry-After in seconds, in milliseconds and as a date", async () => {
      const headers = [{ "retry-after": "7" }, { "retry-after-ms": "1500" }, { "retry-after": "Thu, 01 Oct 2026 12:00:20 GMT" }];
      await generate([...headers.map((header) => status(429, { headers: header })), { text: "ok" }]);
      assert.deepEqual(clock.sleeps, [7250, 2000, 21_000]);
    });

    it("does not wait for hours", async () => {
      await failsAs("rate_limited", [status(429, { headers: { "retry-after": "7200" } }), { text: "too late" }]);
      assert.deepEqual(clock.sleeps, []);
    });

    for (const [code, kind, remedy] of [
      [400, "bad_request", undefined],
      [401, "authentication", /_API_KEY/],
      [403, "authentication", /_API_KEY/],
      [413, "context_overflow", /shorten/],
    ] as const) {
      it(`does not try again after ${code}`, async () => {
        const error = await failsAs(kind, [
          status(code, { message: "no (sk-secret-a sk-secret-o sk-secret-g)".replace(/sk-secret-\w/g, keyIn(spec)) }),
          { text: "never" },
        ]);
        assert.equal(server.requests.length, 1);
        if (remedy !== undefined && !spec.startsWith("openai-compatible")) assert.match(error.remedy ?? "", remedy);
      });
    }

    it("tells a model that is not there from an address that is wrong", async () => {
      const model = await failsAs("not_found", [status(404, { message: "The model `claude-9` does not exist" })]);
      assert.match(model.remedy ?? "", /look the name up|which models it has/);
      const address = await failsAs("not_found", [
        fault({ kind: "status", status: 404, body: "<html><body>404 page not found</body></html>" }),
      ]);
      assert.match(address.remedy ?? "", /base URL/);
      assert.match(address.message, /404 page not found/);
    });

    for (const message of [
      "prompt is too long: 211000 tokens > 200000 maximum",
      "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
      "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
      "Your input exceeds the context window of this model. Please adjust your input and try again.",
      "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
      "the request exceeds the available context size. try increasing the context size or enable context shift",
      "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens",
    ]) {
      it(`knows an overflow by “${message.slice(0, 40)}…”`, async () => {
        const error = await failsAs("context_overflow", [status(400, { message })]);
        assert.match(error.remedy ?? "", /shorten/);
      });
    }

    it("does not wait for an account without credit", async () => {
      const error = await failsAs("rate_limited", [
        status(429, {
          message: "You exceeded your current quota, please check your plan and billing details.",
          code: "insufficient_quota",
        }),
      ]);
      assert.equal(server.requests.length, 1);
      assert.match(error.remedy ?? "", /credit/);
    });

    for (const [code, message] of [
      [400, "registry.ollama.ai/library/gemma:2b does not support tools"],
      [500, "tools param requires --jinja flag"],
      [400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'],
    ] as const) {
      it(`goes on through text where the server knows no tool calls: “${message.slice(0, 30)}…”`, async () => {
        assert.equal((await generate([status(code, { message }), { text: "in words" }])).text, "in words");
        const [refused, second, ...more] = server.requests.map((request) => JSON.stringify(request.body));
        assert.match(refused ?? "", /"tools"|functionDeclarations/);
        assert.doesNotMatch(second ?? "", /"tools":\[\{|functionDeclarations/);
        assert.deepEqual(more, []);
      });
    }

    it("waits for a server that loads its model, without counting", async () => {
      const loading = Array.from({ length: 20 }, () => status(503, { message: "Loading model" }));
      assert.equal((await generate([...loading, { text: "loaded" }])).text, "loaded");
      assert.equal(server.requests.length, 21);
    });

    it("asks again when the connection ends before the reply begins", async () => {
      const cuts: FakeReply[] = [
        fault({ kind: "cut", at: "headers" }),
        fault({ kind: "cut", at: "start" }),
        fault({ kind: "cut", at: "start", clean: true }),
        fault({ kind: "no_body" }),
      ];
      assert.equal((await generate([...cuts, { text: "whole" }])).text, "whole");
      assert.equal(server.requests.length, 5);
    });

    for (const clean of [false, true]) {
      for (const at of ["text", "call", "finish"] as const) {
        it(`throws cut when the stream ends ${clean ? "cleanly" : "abruptly"} after ${at}, and asks no more`, async () => {
          // Gemini sends calls whole: cut after one there is before the finish.
          await failsAs("cut", [{ text: "I remove it.", calls: [call], pieces: 3, fault: { kind: "cut", at, clean } }, { text: "never" }]);
          assert.equal(server.requests.length, 1);
        });
      }
    }

    it("names an error that comes within the stream", async () => {
      const error = await failsAs("overloaded", [
        { text: "half a", pieces: 2, fault: { kind: "stream_error", at: "text", message: "Overloaded" } },
        { text: "never" },
      ]);
      assert.match(error.message, /Overloaded/);
      assert.equal(server.requests.length, 1);
    });

    it("asks again after an error that comes before the reply begins", async () => {
      const early: FakeReply = { text: "x", fault: { kind: "stream_error", at: "start", message: "Overloaded" } };
      assert.equal((await generate([early, { text: "then" }])).text, "then");
    });

    it("refuses a reply without content", async () => {
      await failsAs("empty", [{ text: "" }]);
      await failsAs("empty", [{ text: " \n" }]);
    });

    it("refuses a reply whose limit fell into a call", async () => {
      // Gemini sends no half calls: there the limit can only fall before anything was said.
      const calls = spec.startsWith("google") ? [] : [{ tool: "bash", args: '{"command": "rm -rf /tm' }];
      await failsAs("truncated", [{ calls, finish: "length" }]);
    });

    it("keeps a text that reached its limit, and says so", async () => {
      const reply = await generate([{ text: "a long story", finish: "length" }]);
      assert.equal(reply.finishReason, "length");
    });

    it("names a reply that a filter held back", async () => {
      await failsAs("other", [{ text: "", finish: "content_filter" }]);
    });

    it("refuses a stream of garbage", async () => {
      const error = await failsAs("malformed", [
        fault({ kind: "body", body: "data: {not json at all\n\ndata: [1, 2\n\n" }),
        { text: "never" },
      ]);
      assert.equal(error.attempts, 1);
    });

    it("names an address where a web page answers", async () => {
      const page = await failsAs("malformed", [
        fault({ kind: "body", body: "<!doctype html><title>Welcome to nginx</title>", contentType: "text/html" }),
      ]);
      assert.match(page.remedy ?? "", /base URL/);
    });

    it("reads an error that comes with status 200", async () => {
      const body = JSON.stringify({ error: { message: "model not loaded yet", type: "api_error", code: 503, status: "UNAVAILABLE" } });
      const error = await failsAs(
        "overloaded",
        Array.from({ length: 6 }, () => fault({ kind: "body", body, contentType: "application/json" })),
      );
      assert.match(error.message, /model not loaded yet/);
    });

    it("bounds a reply without end, line by line or in one", async () => {
      const limits = { replyBytes: 300_000 };
      await failsAs("too_large", [fault({ kind: "huge", bytes: 50_000_000 })], { limits });
      await failsAs("too_large", [fault({ kind: "huge", bytes: 50_000_000, oneLine: true })], { limits });
      assert.equal(server.requests.length, 2);
    });

    it("takes bytes that are no UTF-8 as replacement characters", async () => {
      const reply = await generate([fault({ kind: "invalid_utf8" })]);
      assert.match(reply.text, /^before \ufffd+.* ?after$/);
    });

    it("gives up on a service that never answers, and on one that stops", async () => {
      const silent = Array.from({ length: 9 }, () => fault({ kind: "hang", at: "headers" }));
      const error = await failsAs("unreachable", silent, { limits: { firstByteMs: 40 } });
      assert.match(error.message, /no answer within 0\.04 s/);
      assert.equal(server.requests.length, 2);
      const stalled = Array.from({ length: 9 }, () => fault({ kind: "hang", at: "start" }));
      await failsAs("cut", stalled, { limits: { idleMs: 40 }, retry: { attempts: 2 } });
    });

    it("is cancelled while it waits for the service, for the stream, and between attempts", async () => {
      for (const reply of [
        fault({ kind: "hang", at: "headers" }),
        fault({ kind: "hang", at: "start" }),
        status(429, { headers: { "retry-after": "60" } }),
      ]) {
        // More than one: the request that was cancelled before may still be on its way to the server, and take the first.
        const replies = Array.from({ length: 4 }, () => reply);
        const abort = new AbortController();
        setTimeout(() => abort.abort(), 40);
        await assert.rejects(generate(replies, { clock: systemClock() }, abort.signal), isKind("cancelled"));
      }
    });

    it("names a server that is not there, after trying", async () => {
      const port = await closedPort();
      const provider = createModelProvider({ clock, random: () => 0.5, retry: { attempts: 3 } });
      const model = await provider.open({ spec, baseUrl: `http://127.0.0.1:${port}/v1`, credentials });
      await assert.rejects(model.generate(request([user("go")]), new AbortController().signal), (error) => {
        isKind("unreachable")(error);
        assert.match((error as ModelError).message, new RegExp(`127.0.0.1:${port}`));
        assert.match((error as ModelError).remedy ?? "", /server listens/);
        return true;
      });
      assert.equal(clock.sleeps.length, 2);
    });
  });
}

describe("a kept connection", () => {
  it("that the service closed in the same moment costs no attempt", async (test) => {
    const server = await startFakeModelServer({ reply: [{ text: "one" }, { fault: { kind: "cut", at: "headers" } }, { text: "two" }] });
    test.after(() => server.close());
    const clock = hastyClock();
    const model = await createModelProvider({ clock, random: () => 0.5 }).open({
      spec: "openai-compatible/fake",
      baseUrl: server.baseUrl,
      credentials: {},
    });
    const ask = () => model.generate(request([user("go")]), new AbortController().signal);
    assert.equal((await ask()).text, "one");
    assert.equal((await ask()).text, "two");
    assert.deepEqual(clock.sleeps, []);
  });
});

function keyIn(spec: string): string {
  return spec.startsWith("anthropic")
    ? "sk-secret-a"
    : spec.startsWith("google")
      ? "sk-secret-g"
      : spec.startsWith("openai-compatible")
        ? "none"
        : "sk-secret-o";
}

function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

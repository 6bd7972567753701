import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { GuildError, type ModelError, systemClock } from "@guildhall/core";
import { isKind, request, startFakeModelServer, user } from "@guildhall/core/testing";

import { createModelProvider } from "./provider.ts";
import { TransportError } from "./transport.ts";

const credentials = { ANTHROPIC_API_KEY: "sk-secret-a", OPENAI_API_KEY: "sk-secret-o", GEMINI_API_KEY: "sk-secret-g" };

describe("opening a model", () => {
  const provider = createModelProvider({ clock: systemClock(), random: Math.random });
  for (const [spec, code, words] of [
    ["gpt", "invalid_argument", /<provider>\/<model>/],
    ["anthropic", "invalid_argument", /anthropic\/<model>/],
    ["anthropic/", "invalid_argument", /anthropic\/<model>/],
    ["acme/x", "not_found", /openai-compatible with --base-url/],
    ["anthropic/claude-sonnet-5", "unauthenticated", /set ANTHROPIC_API_KEY/],
    ["openai/gpt-5.5", "unauthenticated", /set OPENAI_API_KEY/],
    ["google/gemini-3.5-flash", "unauthenticated", /set GEMINI_API_KEY/],
    ["openrouter/x/y", "unauthenticated", /set OPENROUTER_API_KEY/],
    ["openai-compatible/x", "invalid_argument", /--base-url/],
    ["scripted:", "invalid_argument", /scripted:<file>/],
    ["scripted:none.yaml", "invalid_argument", /absolute path/],
    ["recording:x", "invalid_argument", /recording:<file>:<model>/],
  ] as const) {
    it(`${spec}: ${code}, in one line that says what to do`, async () => {
      await assert.rejects(provider.open({ spec, credentials: {} }), (error) => {
        assert.ok(GuildError.is(error, code), String(error));
        assert.match(error.line, words);
        assert.doesNotMatch(error.line, /\n/);
        return true;
      });
    });
  }

  it("sends OpenAI's key to nobody else's address", async (test) => {
    const server = await startFakeModelServer();
    test.after(() => server.close());
    const model = await provider.open({ spec: "openai-compatible/fake", baseUrl: server.baseUrl, credentials });
    await model.generate(request([user("go")]), new AbortController().signal);
    assert.equal(server.requests[0]?.headers["authorization"], undefined);
  });

  it("refuses an address that is none", async () => {
    await assert.rejects(provider.open({ spec: "openai-compatible/x", baseUrl: "localhost:8080", credentials: {} }), (error) =>
      GuildError.is(error, "invalid_argument"),
    );
  });
});

describe("choosing a model", () => {
  const nobody = { clock: systemClock(), random: Math.random, localServers: [] };

  it("takes the one that is configured, with its address", async () => {
    const provider = createModelProvider({
      ...nobody,
      settings: { defaultModel: "openai-compatible/qwen", defaultBaseUrl: "http://127.0.0.1:9/v1" },
    });
    const chosen = await provider.choose({ credentials });
    assert.equal(chosen.spec, "openai-compatible/qwen");
    assert.equal(chosen.baseUrl, "http://127.0.0.1:9/v1");
    assert.match(chosen.reason, /settings/);
    const other = await provider.choose({ configured: "anthropic/claude-opus-5", credentials });
    assert.equal(other.spec, "anthropic/claude-opus-5");
    assert.equal(other.baseUrl, undefined);
  });

  it("else the first provider whose key is there, and names the key", async () => {
    const provider = createModelProvider(nobody);
    const all = { ...credentials, OPENROUTER_API_KEY: "k" };
    for (const key of ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"] as const) {
      const chosen = await provider.choose({ credentials: all });
      assert.ok(chosen.reason.startsWith(`${key} is set`), chosen.reason);
      const model = await provider.open({ spec: chosen.spec, credentials: all });
      assert.ok(model.info.price !== undefined, `${chosen.spec} is in the price table`);
      delete (all as Record<string, string>)[key];
    }
    await assert.rejects(provider.choose({ credentials: { OPENAI_API_KEY: " " } }), (error) => GuildError.is(error, "failed_precondition"));
  });

  it("else a server on this machine, whatever else has the other ports", async (test) => {
    const server = await startFakeModelServer({ models: ["nomic-embed-text", "qwen3-coder"] });
    test.after(() => server.close());
    const mute = await muteServer();
    test.after(() => mute.close());
    const { port } = mute.address() as AddressInfo;
    const servers = [
      { title: "llama.cpp", vendor: "openai-compatible" as const, baseUrl: `http://127.0.0.1:${port}/v1` },
      { title: "Ollama", vendor: "ollama" as const, baseUrl: "http://127.0.0.1:1/v1" },
      { title: "vLLM", vendor: "openai-compatible" as const, baseUrl: server.baseUrl },
    ];
    const provider = createModelProvider({ ...nobody, localServers: servers });
    const chosen = await provider.choose({ credentials: {} });
    assert.deepEqual({ spec: chosen.spec, baseUrl: chosen.baseUrl }, { spec: "openai-compatible/qwen3-coder", baseUrl: server.baseUrl });
    assert.match(chosen.reason, /^A vLLM server answers at http.*\.$/);
  });

  it("else says how to get one", async () => {
    await assert.rejects(createModelProvider(nobody).choose({ credentials: {} }), (error) => {
      assert.ok(GuildError.is(error, "failed_precondition"));
      assert.match(error.line, /ANTHROPIC_API_KEY.*Ollama.*--model/);
      return true;
    });
  });
});

describe("a module of one's own", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "guildhall-models-"));
    await writeFile(
      join(directory, "echo.mjs"),
      `export function createModel({ model, open }) {
        return {
          info: { spec: open.spec, provider: "echo", contextTokens: 8000, maxOutputTokens: 1000, price: undefined },
          generate: async (request) => ({ text: model + ":" + request.messages.at(-1).text, reasoning: "", toolCalls: [], finishReason: "stop", durationMs: 0, model, providerData: "" }),
          close: async () => {},
        };
      }`,
    );
    await writeFile(join(directory, "nothing.mjs"), "export const createModel = () => ({});");
    await writeFile(join(directory, "other.mjs"), "export const x = 1;");
    await writeFile(join(directory, "broken.mjs"), "export const = ;");
  });
  after(() => rm(directory, { recursive: true }));

  it("is loaded from its path, or by the name it is registered under", async () => {
    const provider = createModelProvider({
      clock: systemClock(),
      random: Math.random,
      routing: () => ({ modules: { acme: join(directory, "echo.mjs") } }),
    });
    for (const [spec, said] of [
      ["module:echo.mjs#small", "small:go"],
      ["module:echo.mjs", ":go"],
      ["acme/large", "large:go"],
    ] as const) {
      const model = await provider.open({ spec, directory, credentials: {} });
      assert.equal((await model.generate(request([user("go")]), new AbortController().signal)).text, said);
    }
  });

  for (const [file, code] of [
    ["missing.mjs", "not_found"],
    ["nothing.mjs", "invalid_argument"],
    ["other.mjs", "invalid_argument"],
    ["broken.mjs", "invalid_argument"],
  ] as const) {
    it(`${file} is refused by name`, async () => {
      const provider = createModelProvider({ clock: systemClock(), random: Math.random });
      await assert.rejects(provider.open({ spec: `module:${file}`, directory, credentials: {} }), (error) => {
        assert.ok(GuildError.is(error, code), String(error));
        assert.ok(error.line.includes(file));
        return true;
      });
    });
  }
});

describe("the way to the service", () => {
  it("leads through a proxy where one is given", async (test) => {
    const proxy = await startFakeModelServer({ reply: [{ text: "through the proxy" }] });
    test.after(() => proxy.close());
    const provider = createModelProvider({ clock: systemClock(), random: Math.random, proxy: { HTTP_PROXY: proxy.origin } });
    const model = await provider.open({ spec: "openai-compatible/fake", baseUrl: "http://model.invalid/v1", credentials: {} });
    assert.equal((await model.generate(request([user("go")]), new AbortController().signal)).text, "through the proxy");
    assert.equal(proxy.requests[0]?.headers["host"], "model.invalid");
  });

  for (const [code, remedy] of [
    ["ENOTFOUND", /host name/],
    ["ECONNREFUSED", /server listens/],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /NODE_EXTRA_CA_CERTS/],
    ["EHOSTUNREACH", /network/],
  ] as const) {
    it(`that ends with ${code} says what to look at`, async () => {
      const fetch = async (): Promise<Response> => {
        throw new TransportError("connection", `connect ${code}`, { code });
      };
      const provider = createModelProvider({ clock: systemClock(), random: () => 0, retry: { attempts: 1 }, fetch });
      const model = await provider.open({ spec: "openai-compatible/fake", baseUrl: "http://model.invalid/v1", credentials: {} });
      await assert.rejects(
        model.generate(request([user("go")]), new AbortController().signal),
        (error) => isKind("unreachable")(error) && remedy.test((error as ModelError).remedy ?? ""),
      );
    });
  }

  it("loads a provider's package only when one of its models is opened", async () => {
    const program = `
      import { registerHooks } from "node:module";
      const seen = new Set();
      registerHooks({ resolve(name, context, next) { if (name.startsWith("@ai-sdk/")) seen.add(name); return next(name, context); } });
      const { createModelProvider } = await import(${JSON.stringify(new URL("./index.ts", import.meta.url).href)});
      const provider = createModelProvider({ clock: { now: () => new Date() }, random: Math.random });
      const before = seen.size;
      await provider.open({ spec: "openai-compatible/x", baseUrl: "http://127.0.0.1:1/v1", credentials: {} });
      console.log(JSON.stringify({ before, after: [...seen].filter((name) => !/provider/.test(name)) }));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program]);
    assert.deepEqual(JSON.parse(stdout), { before: 0, after: ["@ai-sdk/openai-compatible"] });
  });
});

/** Accepts connections and never says a word. */
function muteServer(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1", () => resolve(server));
  });
}

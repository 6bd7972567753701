import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { systemClock } from "@guildhall/core";
import { request, startFakeModelServer, user } from "@guildhall/core/testing";
import { calcPrice } from "@pydantic/genai-prices";

import { modelFacts } from "./prices.ts";
import { generatePriceTables } from "./prices/generate.ts";
import { createModelProvider } from "./provider.ts";
import { type Vendor, vendorNamed } from "./vendors.ts";

const day = new Date("2026-10-01T00:00:00Z");
const vendor = (name: string): Vendor => {
  const found = vendorNamed(name);
  assert.ok(found !== undefined);
  return found;
};

describe("prices", () => {
  it("are the ones of the package they come from", () => {
    for (const [name, content] of generatePriceTables()) {
      const kept: unknown = JSON.parse(readFileSync(new URL(`prices/${name}`, import.meta.url), "utf8"));
      assert.deepEqual(kept, JSON.parse(content), `prices/${name} is out of date: run node packages/models/src/prices/generate.ts`);
    }
  });

  for (const [name, model] of [
    ["anthropic", "claude-sonnet-5"],
    ["anthropic", "claude-sonnet-4-5-20250929"],
    ["anthropic", "claude-opus-4-8"],
    ["openai", "gpt-5.5"],
    ["openai", "gpt-5.6-luna"],
    ["openai", "gpt-4o-mini"],
    ["google", "gemini-2.5-pro"],
    ["google", "gemini-3.5-flash"],
    ["openrouter", "anthropic/claude-sonnet-4.5"],
  ] as const) {
    it(`${name}/${model} costs what the package says, small prompts and large ones`, async () => {
      const { costOf, price } = await modelFacts(vendor(name), model, vendor(name).baseUrl ?? "", day);
      assert.ok(costOf !== undefined && price !== undefined);
      for (const [input, cached, written, output] of [
        [1000, 0, 0, 100],
        [50_000, 40_000, 0, 2000],
        [300_000, 100_000, 0, 5000],
      ] as const) {
        const usage = { input_tokens: input, cache_read_tokens: cached, cache_write_tokens: written, output_tokens: output };
        const expected = calcPrice(usage, model, { providerId: name, timestamp: day })?.total_price ?? Number.NaN;
        const cost = costOf({ inputTokens: input, cachedInputTokens: cached, cacheWriteTokens: written, outputTokens: output });
        assert.ok(Math.abs(cost - expected) < 1e-9, `${input} tokens: ${cost}, the package says ${expected}`);
      }
    });
  }

  it("are not known for a model in no table, and nothing on one's own machine", async () => {
    const unknown = await modelFacts(
      vendor("anthropic"),
      "claude-99-nonesuch-x".replace("claude", "cloud"),
      "https://api.anthropic.com/v1",
      day,
    );
    assert.equal(unknown.price, undefined);
    assert.equal(unknown.costOf, undefined);
    assert.equal(unknown.contextTokens, 128_000);
    const local = await modelFacts(vendor("openai-compatible"), "qwen", "http://127.0.0.1:8080/v1", day);
    assert.equal(local.price?.output, 0);
    assert.equal(local.contextTokens, 32_768);
    const proxied = await modelFacts(vendor("anthropic"), "claude-sonnet-5", "http://localhost:4000", day);
    assert.ok((proxied.price?.output ?? 0) > 0);
  });

  it("are found by the address of a compatible server", async () => {
    const known = await modelFacts(vendor("openai-compatible"), "deepseek-chat", "https://api.deepseek.com/v1", day);
    assert.ok((known.price?.input ?? 0) > 0);
    const elsewhere = await modelFacts(vendor("openai-compatible"), "deepseek-chat", "https://models.example.com/v1", day);
    assert.equal(elsewhere.price, undefined);
  });

  it("make the cost of a reply; what the operator knows goes first", async (test) => {
    const server = await startFakeModelServer({
      reply: () => ({ text: "ok", usage: { input: 1_000_000, cached: 500_000, output: 100_000 } }),
    });
    test.after(() => server.close());
    const price = { input: 2, cachedInput: 1, cacheWrite: 3, output: 10 };
    const spec = "openai-compatible/house";
    const provider = createModelProvider({ clock: systemClock(), random: Math.random, known: { [spec]: { price, contextTokens: 9000 } } });
    const model = await provider.open({ spec, baseUrl: server.baseUrl, credentials: {} });
    assert.equal(model.info.contextTokens, 9000);
    const { usage } = await model.generate(request([user("go")]), new AbortController().signal);
    assert.ok(Math.abs((usage?.costUsd ?? 0) - (1 + 0.5 + 1)) < 1e-9);
    assert.equal(usage?.costKnown, true);
  });
});

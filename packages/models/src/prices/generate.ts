/**
 * Makes the price tables of this folder from @pydantic/genai-prices (MIT): `node packages/models/src/prices/generate.ts`, then format. The package itself takes
 * 40 ms and 19 MB to load and holds much that we never ask for; the tables hold models, context sizes and prices of language models, a provider a file.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { GuildError } from "@guildhall/core";
import { findProvider, type ModelPrice, type Provider } from "@pydantic/genai-prices";

import type { PriceEntry, PriceTable, Rates, Tiered } from "./table.ts";

/** Tables by file: providers of our own have one each, those that are reached as openai-compatible servers share one. */
const TABLES: Record<string, string[]> = {
  anthropic: ["anthropic"],
  openai: ["openai"],
  google: ["google"],
  openrouter: ["openrouter"],
  aws: ["aws"],
  others: ["deepseek", "groq", "mistral", "x-ai", "together", "fireworks", "cerebras", "moonshotai"],
};

/** File name → JSON; the formatter gives it its lines. */
export function generatePriceTables(): Map<string, string> {
  const version = packageVersion();
  const files = new Map<string, string>();
  for (const [file, ids] of Object.entries(TABLES)) {
    const table: PriceTable = { source: `@pydantic/genai-prices ${version}`, providers: ids.map((id) => providerOf(id)) };
    files.set(`${file}.json`, JSON.stringify(table));
  }
  return files;
}

/** The package does not export its package.json: it lies two folders above its entry. */
function packageVersion(): string {
  const manifest = new URL("../package.json", import.meta.resolve("@pydantic/genai-prices"));
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}

function providerOf(id: string): PriceTable["providers"][number] {
  const provider = findProvider({ providerId: id });
  if (provider === undefined) throw new GuildError("not_found", `the price package knows no provider ${id}`);
  return { url: provider.api_pattern, models: provider.models.flatMap((model) => entryOf(model)) };
}

function entryOf(model: Provider["models"][number]): PriceEntry[] {
  const dated = Array.isArray(model.prices) ? model.prices : [{ prices: model.prices }];
  const rates: Rates[] = [];
  for (const { constraint, prices } of dated as Array<{ constraint?: { start_date?: string }; prices: ModelPrice }>) {
    const input = tiered(prices["input_mtok"]);
    // Embeddings are paid by what is read alone.
    const output = tiered(prices["output_mtok"]) ?? (model.id.includes("embed") ? 0 : undefined);
    // Prices by the time of day are left out: the price without a condition is the highest.
    if (input === undefined || output === undefined || (constraint !== undefined && constraint.start_date === undefined)) continue;
    const cachedInput = tiered(prices["cache_read_mtok"]);
    const cacheWrite = tiered(prices["cache_write_mtok"]);
    rates.push({
      ...(constraint?.start_date === undefined ? {} : { from: constraint.start_date }),
      input,
      output,
      ...(cachedInput === undefined ? {} : { cachedInput }),
      ...(cacheWrite === undefined ? {} : { cacheWrite }),
    });
  }
  if (rates.length === 0) return [];
  return [{ match: model.match, ...(model.context_window === undefined ? {} : { context: model.context_window }), rates }];
}

function tiered(price: ModelPrice[string]): Tiered | undefined {
  if (price === undefined || typeof price === "number") return price;
  return [[0, price.base], ...price.tiers.map(({ start, price: above }): [number, number] => [start, above])];
}

if (import.meta.main) {
  for (const [name, content] of generatePriceTables()) writeFileSync(fileURLToPath(new URL(name, import.meta.url)), content);
}

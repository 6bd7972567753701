import type { ModelInfo } from "@guildhall/core";

import { findEntry, type PriceTable, ratesOn, tierOf } from "./prices/table.ts";
import type { Vendor } from "./vendors.ts";

/** Token counts of one call; the cached and the written ones are parts of the input. */
export interface BilledTokens {
  inputTokens: number;
  cachedInputTokens: number;
  cacheWriteTokens: number;
  outputTokens: number;
}

/** USD for one call. */
export type CostOf = (tokens: BilledTokens) => number;

/** What is known of a model without asking anybody. */
export interface ModelFacts {
  contextTokens: number;
  maxOutputTokens: number;
  price: ModelInfo["price"];
  costOf: CostOf | undefined;
}

/** Context of a model in no table: what nearly every hosted model has, and what local servers are commonly started with. */
const UNKNOWN_CONTEXT = { hosted: 128_000, local: 32_768 };
/** Room for a reply where nothing is known: within what every current model gives. */
const MOST_OUTPUT = 16_384;

/**
 * Context size and price of a model from the tables in `prices/` (made from @pydantic/genai-prices). Servers at an address of their own are known by it where
 * a provider answers there; on the user's machine nothing costs anything.
 */
export async function modelFacts(vendor: Vendor, model: string, baseUrl: string, day: Date): Promise<ModelFacts> {
  // A hosted provider behind a proxy on this machine takes its money all the same.
  const local = vendor.local || (vendor.prices === undefined && isLoopback(baseUrl));
  const table = local ? undefined : await tableOf(vendor.prices ?? "others");
  const entry = table === undefined ? undefined : findEntry(table, model, vendor.prices === undefined ? baseUrl : undefined);
  const contextTokens = entry?.context ?? (local ? UNKNOWN_CONTEXT.local : UNKNOWN_CONTEXT.hosted);
  const limits = { contextTokens, maxOutputTokens: Math.min(MOST_OUTPUT, Math.floor(contextTokens / 4)) };
  if (local) return { ...limits, price: { input: 0, cachedInput: 0, cacheWrite: 0, output: 0 }, costOf: () => 0 };
  const rates = entry === undefined ? undefined : ratesOn(entry, day);
  if (rates === undefined) return { ...limits, price: undefined, costOf: undefined };
  const at = (prompt: number): NonNullable<ModelInfo["price"]> => {
    const input = tierOf(rates.input, prompt);
    return {
      input,
      cachedInput: rates.cachedInput === undefined ? input : tierOf(rates.cachedInput, prompt),
      cacheWrite: rates.cacheWrite === undefined ? input : tierOf(rates.cacheWrite, prompt),
      output: tierOf(rates.output, prompt),
    };
  };
  return {
    ...limits,
    price: at(0),
    costOf: ({ inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens }) => {
      const price = at(inputTokens);
      const plain = Math.max(0, inputTokens - cachedInputTokens - cacheWriteTokens);
      return (
        (plain * price.input + cachedInputTokens * price.cachedInput + cacheWriteTokens * price.cacheWrite + outputTokens * price.output) /
        1e6
      );
    },
  };
}

/** The address is on this machine. */
function isLoopback(baseUrl: string): boolean {
  const host = URL.parse(baseUrl)?.hostname ?? "";
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

/** Each import names its file, so that the bundle holds it. */
async function tableOf(name: string): Promise<PriceTable | undefined> {
  switch (name) {
    case "anthropic":
      return (await import("./prices/anthropic.json", { with: { type: "json" } })).default as unknown as PriceTable;
    case "openai":
      return (await import("./prices/openai.json", { with: { type: "json" } })).default as unknown as PriceTable;
    case "google":
      return (await import("./prices/google.json", { with: { type: "json" } })).default as unknown as PriceTable;
    case "openrouter":
      return (await import("./prices/openrouter.json", { with: { type: "json" } })).default as unknown as PriceTable;
    case "aws":
      return (await import("./prices/aws.json", { with: { type: "json" } })).default as unknown as PriceTable;
    case "others":
      return (await import("./prices/others.json", { with: { type: "json" } })).default as unknown as PriceTable;
    default:
      return undefined;
  }
}

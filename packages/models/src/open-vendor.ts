import type { LanguageModelV4, SharedV4ProviderOptions } from "@ai-sdk/provider";
import type { FetchFunction } from "@ai-sdk/provider-utils";
import { type Clock, GuildError, type Model, type ModelInfo, type ModelRequest } from "@guildhall/core";

import { checkedUrl } from "./checked-url.ts";
import { languageModel } from "./language-model.ts";
import { modelFacts } from "./prices.ts";
import type { Dialect } from "./prompt.ts";
import type { RetryPolicy } from "./retry.ts";
import { keyOf, type Vendor } from "./vendors.ts";

export interface OpenVendor {
  vendor: Vendor;
  model: string;
  /** The specification as the caller wrote it. */
  spec: string;
  baseUrl: string | undefined;
  credentials: Record<string, string>;
  fetch: FetchFunction;
  clock: Clock;
  random: () => number;
  retry: RetryPolicy;
  /** What the operator knows better than the tables. */
  known: Partial<Pick<ModelInfo, "contextTokens" | "maxOutputTokens" | "price">>;
}

/** What a provider's package is asked with. */
interface Connection {
  model: string;
  baseUrl: string;
  key: string | undefined;
  credentials: Record<string, string>;
  fetch: FetchFunction;
}

/** Opens a model that answers over HTTP; loads the provider's package, makes no request. Throws `unauthenticated` and `invalid_argument` with the remedy. */
export async function openVendor(open: OpenVendor): Promise<Model> {
  const { vendor, model, spec } = open;
  const baseUrl = checkedUrl(open.baseUrl ?? ownAddress(vendor, open.credentials), vendor, spec);
  const key = keyOf(vendor, open.credentials);
  if (key === undefined && vendor.keyRequired) {
    throw new GuildError("unauthenticated", `${vendor.title} needs a key`, {
      subject: spec,
      remedy: `set ${vendor.keys[0]} in the environment or in the settings' [keys]`,
    });
  }
  const facts = await modelFacts(vendor, model, baseUrl, open.clock.now());
  const info: ModelInfo = {
    spec,
    provider: vendor.name,
    contextTokens: open.known.contextTokens ?? facts.contextTokens,
    maxOutputTokens: open.known.maxOutputTokens ?? facts.maxOutputTokens,
    price: open.known.price ?? facts.price,
  };
  const connection: Connection = { model, baseUrl, key: key?.value, credentials: open.credentials, fetch: open.fetch };
  return languageModel({
    model: await loadModel(vendor, connection),
    info,
    dialect: dialectOf(vendor, model),
    providerOptions: (request) => optionsFor(vendor, request),
    costOf: open.known.price === undefined ? facts.costOf : flatCost(open.known.price),
    schemas: vendor.protocol === "compatible",
    context: { vendor, model, baseUrl, key },
    clock: open.clock,
    random: open.random,
    retry: open.retry,
  });
}

/**
 * Each package is loaded only when one of its models is opened, and the model itself is made when it is first asked: the check that opens
 * one and asks nothing shall cost nothing.
 */
async function loadModel(vendor: Vendor, { model, baseUrl, key, credentials, fetch }: Connection): Promise<() => LanguageModelV4> {
  const apiKey = key ?? "";
  switch (vendor.protocol) {
    case "anthropic": {
      const { createAnthropic } = await import("@ai-sdk/anthropic");
      return () => createAnthropic({ apiKey, baseURL: baseUrl, fetch }).languageModel(model);
    }
    case "openai-responses": {
      const { createOpenAI } = await import("@ai-sdk/openai");
      return () => createOpenAI({ apiKey, baseURL: baseUrl, fetch }).responses(model);
    }
    case "openai-chat": {
      const { createOpenAI } = await import("@ai-sdk/openai");
      return () => createOpenAI({ apiKey, baseURL: baseUrl, fetch }).chat(model);
    }
    case "google": {
      const { createGoogleGenerativeAI } = await import("@ai-sdk/google");
      return () => createGoogleGenerativeAI({ apiKey, baseURL: baseUrl, fetch }).languageModel(model);
    }
    case "azure": {
      // Its current interface is OpenAI's own at another address; the key goes into a header of its own.
      const { createOpenAI } = await import("@ai-sdk/openai");
      return () => createOpenAI({ apiKey, baseURL: baseUrl, headers: { "api-key": apiKey }, fetch }).responses(model);
    }
    case "bedrock": {
      const { createAmazonBedrock } = await import("@ai-sdk/amazon-bedrock");
      const region = regionOf(credentials);
      return () => createAmazonBedrock({ region, baseURL: baseUrl, ...signature(credentials), fetch }).languageModel(model);
    }
    case "compatible": {
      const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
      const settings = {
        name: NAMESPACE,
        baseURL: baseUrl,
        ...(key === undefined ? {} : { apiKey }),
        fetch,
        includeUsage: true,
        supportsStructuredOutputs: true,
        ...(vendor.name === "openrouter" ? { transformRequestBody: forOpenRouter } : {}),
      };
      return () => createOpenAICompatible(settings).chatModel(model);
    }
  }
}

/** Where the service answers unless the caller says otherwise. */
function ownAddress(vendor: Vendor, credentials: Record<string, string>): string | undefined {
  return vendor.protocol === "bedrock" ? `https://bedrock-runtime.${regionOf(credentials)}.amazonaws.com` : vendor.baseUrl;
}

function regionOf(credentials: Record<string, string>): string {
  return credentials["AWS_REGION"]?.trim() || "us-east-1";
}

/** A key of Bedrock's own, or the account's, with which each request is signed. Nothing is looked for in the daemon's environment. */
function signature(credentials: Record<string, string>): Record<string, string> {
  const bearer = credentials["AWS_BEARER_TOKEN_BEDROCK"]?.trim();
  if (bearer !== undefined && bearer !== "") return { apiKey: bearer };
  const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "", AWS_SESSION_TOKEN: sessionToken } = credentials;
  return { apiKey: "", accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** The name under which the openai-compatible package keeps its metadata. */
const NAMESPACE = "compatible";

function dialectOf(vendor: Vendor, model: string): Dialect {
  switch (vendor.protocol) {
    case "anthropic":
      return {
        vendor: vendor.name,
        arguments: "value",
        reasoning: "sealed",
        cacheMark: { anthropic: { cacheControl: { type: "ephemeral" } } },
        images: "result",
      };
    case "google":
      // No marks: with them Gemini's cost was seen to rise to the sixfold and more; it caches by itself.
      return { vendor: vendor.name, arguments: "value", reasoning: "sealed", cacheMark: undefined, images: "result" };

    case "bedrock":
      return {
        vendor: vendor.name,
        arguments: "value",
        reasoning: "sealed",
        cacheMark: /anthropic|amazon\.nova/.test(model) ? { bedrock: { cachePoint: { type: "default" } } } : undefined,
        images: "result",
      };
    case "azure":
    case "openai-responses":
      return { vendor: vendor.name, arguments: "text", reasoning: "sealed", cacheMark: undefined, images: "result" };
    case "openai-chat":
      // Its results of tools are text alone.
      return { vendor: vendor.name, arguments: "text", reasoning: "sealed", cacheMark: undefined, images: "message" };
    case "compatible": {
      const marks = vendor.name === "openrouter" && model.startsWith("anthropic/");
      return {
        vendor: vendor.name,
        arguments: "text",
        reasoning: "plain",
        cacheMark: marks ? { openaiCompatible: { cache_control: { type: "ephemeral" } } } : undefined,
        // Most models behind such servers see nothing, and refuse a request with a picture in it.
        images: vendor.name === "openrouter" && /^(anthropic|openai|google)\//.test(model) ? "message" : "none",
      };
    }
  }
}

function optionsFor(vendor: Vendor, request: ModelRequest): SharedV4ProviderOptions | undefined {
  switch (vendor.protocol) {
    case "azure":
    case "openai-responses":
      // Nothing is kept at the provider: sealed reasoning goes to and fro with the conversation instead.
      return { openai: { store: false, promptCacheKey: cacheKey(request) } };
    case "openai-chat":
      return { openai: { promptCacheKey: cacheKey(request) } };
    case "compatible":
      // llama.cpp's own field; beside functions or a schema it is refused.
      return vendor.name === "llamacpp" && request.replyGrammar !== undefined && request.replySchema === undefined
        ? { [NAMESPACE]: { grammar: request.replyGrammar } }
        : undefined;
    default:
      return undefined;
  }
}

/** OpenAI takes 64 characters. */
function cacheKey(request: ModelRequest): string {
  return request.sessionId.slice(0, 64);
}

/** OpenRouter wants the cache mark on a part of the content, and tells the cost when asked. */
function forOpenRouter(body: Record<string, unknown>): Record<string, unknown> {
  const messages = (body["messages"] as Array<Record<string, unknown>>).map((message) => {
    const { cache_control: mark, content, ...rest } = message;
    return mark === undefined || typeof content !== "string"
      ? message
      : { ...rest, content: [{ type: "text", text: content, cache_control: mark }] };
  });
  return { ...body, messages, usage: { include: true } };
}

function flatCost(price: NonNullable<ModelInfo["price"]>): NonNullable<Parameters<typeof languageModel>[0]["costOf"]> {
  return ({ inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens }) => {
    const plain = Math.max(0, inputTokens - cachedInputTokens - cacheWriteTokens);
    return (
      (plain * price.input + cachedInputTokens * price.cachedInput + cacheWriteTokens * price.cacheWrite + outputTokens * price.output) /
      1e6
    );
  };
}

import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import { parseRetryAfter } from "../retry.ts";
import type { EmbeddingSpend, MeteredEmbedder } from "./metered-embedder.ts";

export interface HttpEmbedderOptions {
  /** `http://127.0.0.1:8080/v1` for an OpenAI-compatible server, `http://127.0.0.1:11434` for Ollama. */
  baseUrl: string;
  /** The server's name for the model. */
  model: string;
  /** Numbers a vector; asked of the server with a first text when it is not given. */
  dimension?: number;
  /** Sent as a bearer token. */
  apiKey?: string;
  /** Sent besides. */
  headers?: Readonly<Record<string, string>>;
  /** What the vectors are known by in indices. Default: `<kind>/<model>`. */
  id?: string;
  /** USD for a million tokens; undefined: not known. */
  price?: number;
  /** Texts a request. Default 64. */
  batch?: number;
  /** Texts are cut to so many characters. Default 8,000: within the context of the common models. */
  longest?: number;
  /** Milliseconds that one request may take. Default 60,000. */
  timeoutMs?: number;
  /** Milliseconds before the second attempt; doubles. Default 500. */
  retryMs?: number;
  /** In [0, 1): jitter of waits. Default: none. */
  random?(): number;
}

/** Any server that speaks OpenAI's `POST /embeddings`: OpenAI itself, llama.cpp's `llama-server --embedding`, vLLM, TEI, LM Studio. */
export function openAiEmbedder(options: HttpEmbedderOptions): Promise<MeteredEmbedder> {
  return httpEmbedder("openai-compatible", options, {
    path: "/embeddings",
    request: (model, input) => ({ model, input, encoding_format: "float" }),
    read: (answer) => {
      const { data } = answer as { data?: Array<{ index?: number; embedding?: unknown }> };
      return data
        ?.map((one, at) => ({ ...one, index: one.index ?? at }))
        .toSorted((x, y) => x.index - y.index)
        .map((one) => one.embedding);
    },
    tokens: (answer) => (answer as { usage?: { prompt_tokens?: unknown; total_tokens?: unknown } }).usage?.prompt_tokens,
  });
}

/** Ollama's own `POST /api/embed`. */
export function ollamaEmbedder(options: HttpEmbedderOptions): Promise<MeteredEmbedder> {
  return httpEmbedder("ollama", options, {
    path: "/api/embed",
    request: (model, input) => ({ model, input, truncate: true }),
    read: (answer) => (answer as { embeddings?: unknown[] }).embeddings,
    tokens: (answer) => (answer as { prompt_eval_count?: unknown }).prompt_eval_count,
  });
}

interface Dialect {
  path: string;
  request(model: string, input: readonly string[]): unknown;
  /** One embedding an input, in order; undefined when the answer is of another form. */
  read(answer: unknown): unknown[] | undefined;
  /** What the server counted. */
  tokens(answer: unknown): unknown;
}

const ATTEMPTS = 3;

/** Bytes of one answer: 64 vectors of 16,000 numbers as text. */
const MOST_ANSWER = 32 * 1024 * 1024;
/** A server that says to come back later than this is not waited for, milliseconds. */
const LONGEST_WAIT_MS = 30_000;

async function httpEmbedder(kind: string, options: HttpEmbedderOptions, dialect: Dialect): Promise<MeteredEmbedder> {
  const { model, batch = 64, longest = 8_000, timeoutMs = 60_000, retryMs = 500 } = options;
  const url = options.baseUrl.replace(/\/+$/, "") + dialect.path;
  const closed = new AbortController();
  const spent: EmbeddingSpend = { requests: 0, tokens: 0, costUsd: 0, costKnown: options.price !== undefined };

  async function ask(input: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    const answer = await post(dialect.request(model, input), signal);
    const embeddings = dialect.read(answer);
    if (embeddings?.length !== input.length) {
      throw new GuildError(
        "unavailable",
        `the embedding server answered with ${embeddings?.length ?? "no"} vectors for ${input.length} texts`,
        {
          subject: url,
          remedy: "check that the address and the model are of an embedding server",
        },
      );
    }
    const tokens = dialect.tokens(answer);
    if (typeof tokens === "number" && Number.isFinite(tokens) && tokens > 0) {
      spent.tokens += tokens;
      spent.costUsd += (tokens * (options.price ?? 0)) / 1e6;
    }
    return embeddings.map((one) => unit(one, url));
  }

  async function post(body: unknown, signal: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt += 1) {
      const failure = await once(body, signal);
      if ("answer" in failure) return failure.answer;
      if (!failure.again || attempt === ATTEMPTS) throw failure.error;
      // Those who were refused together do not come back together.
      await sleep(failure.afterMs + retryMs * 2 ** (attempt - 1) * (1 - (options.random?.() ?? 0) / 2), undefined, { signal });
    }
  }

  async function once(body: unknown, signal: AbortSignal): Promise<{ answer: unknown } | Refused> {
    spent.requests += 1;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...options.headers,
          ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
        },
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      const text = await bounded(response, url);
      if (response.ok) return { answer: parsed(text, url) };
      const afterMs = parseRetryAfter(Object.fromEntries(response.headers), new Date()) ?? 0;
      const again = (response.status === 429 || response.status >= 500) && afterMs <= LONGEST_WAIT_MS;
      return { again, afterMs, error: refusedBy(url, response.status, text.slice(0, 200)) };
    } catch (error) {
      signal.throwIfAborted();
      if (GuildError.is(error)) return { again: false, afterMs: 0, error };
      return { again: true, afterMs: 0, error: unavailable(url, "the embedding server cannot be reached", error) };
    }
  }

  async function embed(texts: readonly string[], dimension: number, signal?: AbortSignal): Promise<Float32Array[]> {
    const either = signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]);
    either.throwIfAborted();
    const vectors: Float32Array[] = texts.map(() => new Float32Array(dimension));
    const places = [...texts.keys()].filter((at) => texts[at] !== "");
    for (let start = 0; start < places.length; start += batch) {
      const some = places.slice(start, start + batch);
      const found = await ask(
        some.map((at) => (texts[at] ?? "").slice(0, longest).toWellFormed()),
        either,
      );
      for (const [at, vector] of found.entries()) {
        if (vector.length !== dimension) throw otherDimension(url, vector.length, dimension);
        vectors[some[at] ?? 0] = vector;
      }
    }
    return vectors;
  }

  const dimension = options.dimension ?? (await ask(["dimension"], closed.signal))[0]?.length ?? 0;
  return {
    model: { id: options.id ?? `${kind}/${model}`, dimension },
    spent: () => ({ ...spent }),
    embed: (texts, signal) => embed(texts, dimension, signal),
    close: async () => closed.abort(new GuildError("cancelled", "the embedder is closed")),
  };
}

function unit(values: unknown, url: string): Float32Array {
  if (!Array.isArray(values) || !values.every((value) => typeof value === "number" && Number.isFinite(value))) {
    throw unavailable(url, "the embedding server answered with something that is no vector", undefined);
  }
  const numbers = values as number[];
  const length = Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0));
  return Float32Array.from(numbers, (value) => (length > 0 ? value / length : 0));
}

interface Refused {
  error: GuildError;
  /** It may pass. */
  again: boolean;
  /** How long the server asks to be left alone. */
  afterMs: number;
}

async function bounded(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MOST_ANSWER) throw unavailable(url, `the embedding server answers with more than ${MOST_ANSWER} bytes`, undefined);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string, url: string): unknown {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw unavailable(url, `the embedding server answered with no JSON: ${text.slice(0, 80)}`, error);
  }
  throw unavailable(url, "the embedding server answered with something that is no vector", undefined);
}

function refusedBy(url: string, status: number, said: string): GuildError {
  const message = `the embedding server answered ${status}: ${said}`;
  if (status !== 401 && status !== 403) return unavailable(url, message, undefined);
  return new GuildError("unauthenticated", message, { subject: url, remedy: "set its key in the settings' [keys]" });
}

function unavailable(url: string, message: string, cause: unknown): GuildError {
  return new GuildError("unavailable", message, { subject: url, remedy: "check that it runs, and its address, model and key", cause });
}

function otherDimension(url: string, found: number, expected: number): GuildError {
  return new GuildError("failed_precondition", `the embedding server answers with ${found} numbers, not ${expected}`, {
    subject: url,
    remedy: "set the dimension of this model, or choose the model that made the index",
  });
}

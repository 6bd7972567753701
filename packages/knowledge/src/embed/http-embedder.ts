import { setTimeout as sleep } from "node:timers/promises";

import { type Embedder, GuildError } from "@guildhall/core";

export interface HttpEmbedderOptions {
  /** `http://127.0.0.1:8080/v1` for an OpenAI-compatible server, `http://127.0.0.1:11434` for Ollama. */
  baseUrl: string;
  /** The server's name for the model. */
  model: string;
  /** Numbers a vector; asked of the server with a first text when it is not given. */
  dimension?: number;
  /** Sent as a bearer token. */
  apiKey?: string;
  /** Texts a request. Default 64. */
  batch?: number;
  /** Texts are cut to so many characters. Default 8,000: within the context of the common models. */
  longest?: number;
  /** Milliseconds that one request may take. Default 60,000. */
  timeoutMs?: number;
  /** Milliseconds before the second attempt; doubles. Default 500. */
  retryMs?: number;
}

/** Any server that speaks OpenAI's `POST /embeddings`: OpenAI itself, llama.cpp's `llama-server --embedding`, vLLM, TEI, LM Studio. */
export function openAiEmbedder(options: HttpEmbedderOptions): Promise<Embedder> {
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
  });
}

/** Ollama's own `POST /api/embed`. */
export function ollamaEmbedder(options: HttpEmbedderOptions): Promise<Embedder> {
  return httpEmbedder("ollama", options, {
    path: "/api/embed",
    request: (model, input) => ({ model, input, truncate: true }),
    read: (answer) => (answer as { embeddings?: unknown[] }).embeddings,
  });
}

interface Dialect {
  path: string;
  request(model: string, input: readonly string[]): unknown;
  /** One embedding an input, in order; undefined when the answer is of another form. */
  read(answer: unknown): unknown[] | undefined;
}

const ATTEMPTS = 3;

async function httpEmbedder(kind: string, options: HttpEmbedderOptions, dialect: Dialect): Promise<Embedder> {
  const { model, batch = 64, longest = 8_000, timeoutMs = 60_000, retryMs = 500 } = options;
  const url = options.baseUrl.replace(/\/+$/, "") + dialect.path;
  const closed = new AbortController();

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
    return embeddings.map((one) => unit(one, url));
  }

  async function post(body: unknown, signal: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt += 1) {
      const failure = await once(body, signal);
      if ("answer" in failure) return failure.answer;
      if (!failure.again || attempt === ATTEMPTS) throw failure.error;
      await sleep(retryMs * 2 ** (attempt - 1), undefined, { signal });
    }
  }

  async function once(body: unknown, signal: AbortSignal): Promise<{ answer: unknown } | { error: GuildError; again: boolean }> {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
        },
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      if (response.ok) return { answer: await response.json() };
      const said = (await response.text()).slice(0, 200);
      const again = response.status === 429 || response.status >= 500;
      return { again, error: unavailable(url, `the embedding server answered ${response.status}: ${said}`, undefined) };
    } catch (error) {
      signal.throwIfAborted();
      return { again: true, error: unavailable(url, "the embedding server cannot be reached", error) };
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
    model: { id: `${kind}/${model}`, dimension },
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

function unavailable(url: string, message: string, cause: unknown): GuildError {
  return new GuildError("unavailable", message, { subject: url, remedy: "check that it runs, and its address, model and key", cause });
}

function otherDimension(url: string, found: number, expected: number): GuildError {
  return new GuildError("failed_precondition", `the embedding server answers with ${found} numbers, not ${expected}`, {
    subject: url,
    remedy: "set the dimension of this model, or choose the model that made the index",
  });
}

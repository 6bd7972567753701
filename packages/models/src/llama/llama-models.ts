import { type Clock, type Embedder, GuildError, type Model, type ModelInfo } from "@guildhall/core";

import { type Engine, EngineFailure, llamaEngine } from "./engine.ts";
import { readGgufHeader } from "./gguf-header.ts";
import { llamaModel } from "./llama-model.ts";

/** A context costs memory: a longer one than this has to be asked for. */
const USUAL_CONTEXT = 32_768;
/** Texts that are embedded are short; a longer one counts by its beginning. */
const EMBEDDING_CONTEXT = 2_048;

/** Models of files, each in one process however many use it; those processes end when they have been idle for a while, and with this one. */
export class LlamaModels {
  readonly #engines = new Map<string, Engine>();

  async model(open: { file: string; spec: string; clock: Clock; known?: Partial<ModelInfo>; context: number | undefined }): Promise<Model> {
    const { file, spec, clock, known } = open;
    const header = await readGgufHeader(file);
    const contextTokens = open.context ?? known?.contextTokens ?? Math.min(header.contextTokens, USUAL_CONTEXT);
    const info: ModelInfo = {
      spec,
      provider: "llama",
      contextTokens,
      maxOutputTokens: known?.maxOutputTokens ?? Math.floor(contextTokens / 4),
      price: { input: 0, cachedInput: 0, cacheWrite: 0, output: 0 },
      tools: "text",
    };
    return llamaModel(this.#engine(file, contextTokens, "model"), { info, file, clock });
  }

  /** Vectors of a file's model; `id` names it in indices. */
  async embedder(file: string, id: string): Promise<Embedder> {
    const { contextTokens, dimension } = await readGgufHeader(file);
    const engine = this.#engine(file, Math.min(contextTokens, EMBEDDING_CONTEXT), "embedder");
    return {
      model: { id, dimension },
      async embed(texts, signal) {
        try {
          return await engine.embed(texts, signal);
        } catch (error) {
          if (signal?.aborted === true || !(error instanceof EngineFailure)) throw error;
          throw new GuildError("unavailable", `the embedding model failed: ${error.message}`, {
            subject: file,
            remedy: "check the file, and that node-llama-cpp is installed (npm install --include=optional)",
            cause: error,
          });
        }
      },
      // Its process ends by itself when nobody has asked for a while: whoever opens it next finds it loaded.
      close: () => Promise.resolve(),
    };
  }

  #engine(file: string, contextTokens: number, purpose: string): Engine {
    const key = `${purpose}\0${contextTokens}\0${file}`;
    const engine = this.#engines.get(key) ?? llamaEngine({ file, contextTokens });
    this.#engines.set(key, engine);
    return engine;
  }
}

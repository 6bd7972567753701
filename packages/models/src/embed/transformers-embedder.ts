import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

import { type Embedder, GuildError } from "@guildhall/core";

import { EngineFailure, modelProcess } from "../llama/engine.ts";

const PACKAGE = "@huggingface/transformers";

/**
 * A model directory as Hugging Face lays it out (`config.json`, `tokenizer.json`, `onnx/model.onnx`), run by transformers.js in a process of its own; mean of the tokens,
 * unit length. The package is not Guildhall's: it brings half a gigabyte, so it is taken from `node_modules` in the directory or above it. Throws `not_found`
 * for a directory that is none, `failed_precondition` where the package is missing, `unavailable` where the model does not run.
 */
export async function transformersEmbedder(directory: string): Promise<Embedder> {
  const config = await readConfig(directory);
  const module = findPackage(directory);
  const engine = modelProcess({
    program: new URL("./transformers-process.ts", import.meta.url),
    arguments: [module, directory],
  });
  const ask = async (texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> => {
    try {
      return await engine.embed(texts, signal);
    } catch (error) {
      if (signal?.aborted === true || !(error instanceof EngineFailure)) throw error;
      throw new GuildError("unavailable", `transformers.js failed: ${error.message.split("\n", 1)[0]}`, {
        subject: directory,
        remedy: "check the files of the model: config.json, tokenizer.json, onnx/model.onnx",
        cause: error,
      });
    }
  };
  const dimension = dimensionIn(config) ?? (await ask(["dimension"]))[0]?.length ?? 0;
  const digest = createHash("sha256")
    .update(config)
    .update(await sizeOf(directory))
    .digest("hex")
    .slice(0, 12);
  return {
    model: { id: `transformers:${basename(directory)}-${digest}`, dimension },
    async embed(texts, signal) {
      signal?.throwIfAborted();
      if (texts.length === 0) return [];
      const vectors = await ask(texts, signal);
      for (const vector of vectors) {
        if (vector.length === dimension) continue;
        throw new GuildError("failed_precondition", `transformers.js answers with ${vector.length} numbers, not ${dimension}`, {
          subject: directory,
          remedy: "config.json is of another model than onnx/model.onnx",
        });
      }
      return vectors;
    },
    // Its process ends by itself when nobody has asked for a while.
    close: () => Promise.resolve(),
  };
}

async function readConfig(directory: string): Promise<string> {
  try {
    return await readFile(join(directory, "config.json"), "utf8");
  } catch (error) {
    throw new GuildError("not_found", `${directory} holds no model: config.json is missing`, {
      subject: directory,
      remedy: "give a directory with config.json, tokenizer.json and onnx/model.onnx",
      cause: error,
    });
  }
}

/** What the architecture's makers call the length of its vectors. */
function dimensionIn(config: string): number | undefined {
  try {
    const { hidden_size: size, dim } = JSON.parse(config) as { hidden_size?: unknown; dim?: unknown };
    const found = size ?? dim;
    return typeof found === "number" && Number.isInteger(found) && found > 0 ? found : undefined;
  } catch {
    // The library says what is wrong with it.
    return undefined;
  }
}

function findPackage(directory: string): string {
  for (const place of [join(directory, "package.json"), import.meta.filename]) {
    try {
      return createRequire(place).resolve(PACKAGE);
    } catch {
      // The next place.
    }
  }
  throw new GuildError("failed_precondition", `${PACKAGE} is not installed`, {
    subject: directory,
    remedy: `npm install --ignore-scripts --prefix ${directory} ${PACKAGE}`,
  });
}

/** The weights may be large: their size tells another model well enough beside its configuration. */
async function sizeOf(directory: string): Promise<string> {
  const found = await stat(join(directory, "onnx", "model.onnx")).catch(() => undefined); // The library says what is missing.
  return String(found?.size ?? 0);
}

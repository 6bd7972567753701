import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { basename, isAbsolute, resolve } from "node:path";

import { type Clock, type Embedder, GuildError } from "@guildhall/core";

import { checkedUrl } from "../checked-url.ts";
import type { LlamaModels } from "../llama/llama-models.ts";
import { modelFacts } from "../prices.ts";
import { parseSpec } from "../spec.ts";
import { allVendors, keyOf, type Vendor, vendorNamed } from "../vendors.ts";
import type { MeteredEmbedder } from "./metered-embedder.ts";

export interface OpenEmbedder {
  /** `<provider>/<model>`, with `@http://…` for another address; `llama:<file>.gguf`; `transformers:<directory>`. */
  spec: string;
  baseUrl?: string;
  /** Numbers a vector where it is known: the service is then not asked. */
  dimension?: number;
  /** Provider keys by the name of their usual environment variable. */
  credentials: Readonly<Record<string, string>>;
  /** Where relative paths are looked up. */
  directory?: string;
}

/** Embedders by the same names, keys and addresses as the models that answer. */
export interface EmbedderProvider {
  /**
   * Throws `invalid_argument`, `not_found`, `unauthenticated` or `unsupported` with a remedy; `unavailable` where the dimension has to be asked for and nobody
   * answers. Makes no request where the dimension is given.
   */
  open(request: OpenEmbedder): Promise<MeteredEmbedder>;
}

export function createEmbedderProvider(options: { clock: Pick<Clock, "now">; random(): number }): EmbedderProvider {
  let llamas: Promise<LlamaModels> | undefined;
  return {
    async open(request) {
      const { spec } = request;
      const transformers = /^transformers:(.*)$/s.exec(spec);
      if (transformers !== null) {
        const { transformersEmbedder } = await import("./transformers-embedder.ts");
        return free(await transformersEmbedder(pathOf(transformers[1] ?? "", request)));
      }
      const parsed = parseSpec(spec);
      if (parsed.kind === "llama") {
        const file = pathOf(parsed.file, request);
        llamas ??= import("../llama/llama-models.ts").then(({ LlamaModels }) => new LlamaModels());
        return free(await (await llamas).embedder(file, `llama:${basename(file)}-${await digestOf(file)}`));
      }
      if (parsed.kind !== "vendor") {
        throw new GuildError("unsupported", `“${spec}” gives no embeddings`, { subject: spec, remedy: `take one of ${ways()}` });
      }
      return openVendor(parsed.vendor, parsed.model, request);
    },
  };

  async function openVendor(name: string, named: string, request: OpenEmbedder): Promise<MeteredEmbedder> {
    const { spec, credentials } = request;
    const vendor = vendorNamed(name);
    if (vendor?.embeddings === undefined) {
      const what = vendor === undefined ? `there is no provider ${name}` : `${vendor.title} gives no embeddings`;
      throw new GuildError(vendor === undefined ? "not_found" : "unsupported", what, { subject: spec, remedy: `take one of ${ways()}` });
    }
    const address = /^(.+)@(https?:\/\/.+)$/.exec(named);
    const model = address?.[1] ?? named;
    const baseUrl = checkedUrl(address?.[2] ?? request.baseUrl ?? vendor.embeddingsUrl ?? vendor.baseUrl, vendor, spec);
    const key = keyOf(vendor, { ...credentials });
    if (key === undefined && vendor.keyRequired) {
      throw new GuildError("unauthenticated", `${vendor.title} needs a key`, {
        subject: spec,
        remedy: `set ${vendor.keys[0]} in the settings' [keys]`,
      });
    }
    const { price } = await modelFacts(vendor, model, baseUrl, options.clock.now());
    const { ollamaEmbedder, openAiEmbedder } = await import("./http-embedder.ts");
    const common = {
      id: `${vendor.name}/${model}`,
      model,
      random: () => options.random(),
      ...(price === undefined ? {} : { price: price.input }),
      ...(request.dimension === undefined ? {} : { dimension: request.dimension }),
      ...(key === undefined ? {} : sentKey(vendor, key.value)),
    };
    // Ollama's own interface lies beside the one that is OpenAI's.
    return vendor.embeddings === "ollama"
      ? ollamaEmbedder({ ...common, baseUrl: baseUrl.replace(/\/v1$/, "") })
      : openAiEmbedder({ ...common, baseUrl });
  }
}

function sentKey(vendor: Vendor, key: string): { apiKey: string } | { headers: Record<string, string> } {
  return vendor.protocol === "azure" ? { headers: { "api-key": key } } : { apiKey: key };
}

function ways(): string {
  const names = allVendors().filter((vendor) => vendor.embeddings !== undefined);
  return `${names.map(({ name }) => `${name}/<model>`).join(", ")}, llama:<file>.gguf, transformers:<directory>`;
}

/** What runs here costs nothing. */
function free(embedder: Embedder): MeteredEmbedder {
  return { ...embedder, spent: () => ({ requests: 0, tokens: 0, costUsd: 0, costKnown: true }) };
}

function pathOf(path: string, request: OpenEmbedder): string {
  if (path === "") {
    throw new GuildError("invalid_argument", `“${request.spec}” lacks the path`, {
      subject: request.spec,
      remedy: "write the path after the colon",
    });
  }
  if (isAbsolute(path)) return path;
  if (request.directory !== undefined) return resolve(request.directory, path);
  throw new GuildError("invalid_argument", `“${path}” is a relative path, and there is no directory it could be relative to`, {
    subject: request.spec,
    remedy: "give the whole path",
  });
}

/** Tells another model under the same name: size, beginning and end of the file. */
async function digestOf(file: string): Promise<string> {
  const handle = await open(file, "r").catch((error: unknown) => {
    throw new GuildError("not_found", `there is no model ${file}`, {
      subject: file,
      remedy: "give the path of a .gguf file",
      cause: error,
    });
  });
  try {
    const { size } = await handle.stat();
    const hash = createHash("sha256").update(String(size));
    for (const at of [0, Math.max(0, size - SAMPLE)]) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(SAMPLE), 0, SAMPLE, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest("hex").slice(0, 12);
  } finally {
    await handle.close();
  }
}

const SAMPLE = 64 * 1024;

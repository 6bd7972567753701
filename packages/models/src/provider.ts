import { isAbsolute, resolve } from "node:path";

import { type Clock, GuildError, type Model, type ModelInfo, type ModelProvider, type OpenModel } from "@guildhall/core";

import type { LlamaModels } from "./llama/llama-models.ts";
import { findLocalServer, LOCAL_SERVERS, type LocalServer } from "./local-servers.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "./retry.ts";
import { parseSpec } from "./spec.ts";
import { createTransport, DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "./transport.ts";
import { keyOf, preferredVendors, vendorNamed, vendorNames } from "./vendors.ts";

/** What the operator has set about models. */
export interface ModelRouting {
  /** Models of one's own: `acme` → path of a module; then `acme/<model>` opens it. */
  modules?: Readonly<Record<string, string>>;
  /** `role:<name>` → specification. */
  routes?: Readonly<Record<string, string>>;
  /** Specifications of models that cannot call functions; `*` stands for any text. */
  textTools?: readonly string[];
}

export interface ModelProviderOptions {
  clock: Clock;
  /** In [0, 1): jitter of waits, and ids for calls that come without a usable one. */
  random(): number;
  settings?: {
    /** The model of callers that name none. */
    defaultModel?: string;
    /** Base URL that belongs to it. */
    defaultBaseUrl?: string;
  };
  /** Read at each opening, so that changed settings count from then on. */
  routing?(): ModelRouting;
  /** What is known better than the tables, by specification. */
  known?: Record<string, Partial<Pick<ModelInfo, "contextTokens" | "maxOutputTokens" | "price">>>;
  /** `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`. */
  proxy?: Record<string, string | undefined>;
  /** Instead of the transport of our own: then limits on time and size are its matter. */
  fetch?: typeof globalThis.fetch;
  retry?: Partial<RetryPolicy>;
  limits?: Partial<TransportLimits>;
  /** Where servers on this machine are looked for. */
  localServers?: LocalServer[];
}

/** All models there are: hosted providers, compatible servers, scripts, recordings, and modules of one's own. Each is loaded only when it is named. */
export function createModelProvider(options: ModelProviderOptions): ModelProvider {
  const { clock } = options;
  const random = (): number => options.random();
  const retry = { ...DEFAULT_RETRY_POLICY, ...options.retry };
  const limits = { ...DEFAULT_TRANSPORT_LIMITS, ...options.limits };
  const fetch = options.fetch ?? createTransport({ limits, ...(options.proxy === undefined ? {} : { proxy: options.proxy }) });

  let llamas: Promise<LlamaModels> | undefined;
  const llama = (): Promise<LlamaModels> => (llamas ??= import("./llama/llama-models.ts").then(({ LlamaModels }) => new LlamaModels()));
  const routing = (): ModelRouting => options.routing?.() ?? {};

  async function open(request: OpenModel, patience: RetryPolicy = retry, depth = 0): Promise<Model> {
    const { spec } = request;
    const step = request.step ?? 0;
    const modules = routing().modules ?? {};
    const registered = modules[spec.split("/", 1)[0] ?? ""];
    if (registered !== undefined) return custom(registered, spec.slice(spec.indexOf("/") + 1), request);
    const parsed = parseSpec(spec);
    switch (parsed.kind) {
      case "scripted": {
        const [{ readScript }, { scriptedModel }] = await Promise.all([import("./script-file.ts"), import("./scripted.ts")]);
        return scriptedModel({ spec, script: await readScript(pathOf(parsed.file, request)), clock, step });
      }
      case "replay": {
        const { replayModel } = await import("./replay.ts");
        return replayModel({ spec, file: pathOf(parsed.file, request), lenient: parsed.lenient, step });
      }
      case "recording": {
        const { recordingModel } = await import("./recording.ts");
        const inner = await open({ ...request, spec: parsed.inner }, patience, depth);
        return around(inner, () => recordingModel({ spec, file: pathOf(parsed.file, request), inner, step }));
      }
      case "llama":
        return (await import("./text-protocol/text-model.ts")).textModel(await openLlama(parsed, request), { spec, form: "tags" });
      case "text": {
        const { textModel } = await import("./text-protocol/text-model.ts");
        const plain = parsed.inner.startsWith("llama:") ? parseSpec(parsed.inner) : undefined;
        const inner =
          plain?.kind === "llama" ? await openLlama(plain, request) : await open({ ...request, spec: parsed.inner }, patience, depth);
        return textModel(inner, { spec, form: parsed.form });
      }
      case "role": {
        const routes = routing().routes ?? {};
        const route = routes[parsed.role];
        if (route === undefined || depth > DEEPEST_ROUTE) {
          const names = Object.keys(routes).join(", ");
          throw new GuildError(
            "not_found",
            route === undefined ? `no model is set for the role ${parsed.role}` : "the roles name each other",
            {
              subject: spec,
              remedy: `set it in the settings: [routes] ${parsed.role} = "<provider>/<model>"${names === "" ? "" : `; there are ${names}`}`,
            },
          );
        }
        return open({ ...request, spec: route }, patience, depth + 1);
      }
      case "chain":
        return openChain(parsed.specs, parsed.order, request, depth);
      case "module":
        return custom(parsed.file, parsed.model, request);
      case "vendor":
        return openService(parsed.vendor, parsed.model, request, patience);
    }
  }

  /** A model of a file, without the text protocol around it. */
  async function openLlama(parsed: { file: string; context: number | undefined }, request: OpenModel): Promise<Model> {
    const known = options.known?.[request.spec] ?? {};
    return (await llama()).model({ file: pathOf(parsed.file, request), spec: request.spec, clock, known, context: parsed.context });
  }

  /** Members whose key is not at hand are left out while there is another. */
  async function openChain(specs: string[], order: "given" | "price", request: OpenModel, depth: number): Promise<Model> {
    const { blendedPrice, modelChain } = await import("./model-chain.ts");
    const opened: Model[] = [];
    let missing: unknown;
    // All but the last give up early: waiting is of less use than asking the next.
    const hasty = { ...retry, attempts: Math.min(2, retry.attempts), longestRetryAfterMs: 5_000 };
    for (const [place, spec] of specs.entries()) {
      try {
        opened.push(await open({ ...request, spec }, place === specs.length - 1 ? retry : hasty, depth));
      } catch (error) {
        if (!GuildError.is(error, "unauthenticated")) {
          await Promise.all(opened.map((model) => model.close()));
          throw error;
        }
        missing ??= error;
      }
    }
    if (opened.length === 0) throw missing;
    const sorted = order === "price" ? opened.toSorted((a, b) => blendedPrice(a.info) - blendedPrice(b.info)) : opened;
    return modelChain(request.spec, sorted, clock);
  }

  async function openService(name: string, named: string, request: OpenModel, patience: RetryPolicy): Promise<Model> {
    const { spec, credentials } = request;
    const vendor = vendorNamed(name);
    if (vendor === undefined) {
      const names = [...vendorNames(), ...Object.keys(routing().modules ?? {})].join(", ");
      throw new GuildError("not_found", `there is no model provider ${name}`, {
        subject: spec,
        remedy: `take one of ${names}; openai-compatible with --base-url reaches any other`,
      });
    }
    const [{ openVendor }, { adaptiveModel }, { textModel }] = await Promise.all([
      import("./open-vendor.ts"),
      import("./adaptive-model.ts"),
      import("./text-protocol/text-model.ts"),
    ]);
    const { model, baseUrl = request.baseUrl } = splitAddress(named);
    const known = options.known?.[spec] ?? {};
    const opened = await openVendor({ vendor, model, spec, baseUrl, credentials, fetch, clock, random, retry: patience, known });
    const cannotCall = (routing().textTools ?? []).some((pattern) => matches(pattern, spec));
    return cannotCall ? textModel(opened, { spec, form: "tags" }) : adaptiveModel(opened);
  }

  async function custom(file: string, model: string, request: OpenModel): Promise<Model> {
    const { customModel } = await import("./custom-module.ts");
    return customModel(pathOf(file, request), { model, open: request, clock, random });
  }

  return {
    open: (request) => open(request),
    async choose({ configured, credentials }) {
      const named = configured ?? options.settings?.defaultModel;
      if (named !== undefined && named !== "") {
        const baseUrl =
          configured === undefined || configured === options.settings?.defaultModel ? options.settings?.defaultBaseUrl : undefined;
        return {
          spec: named,
          ...(baseUrl === undefined || baseUrl === "" ? {} : { baseUrl }),
          reason: "It is the model of the settings (model.default).",
        };
      }
      for (const vendor of preferredVendors()) {
        const key = keyOf(vendor, credentials);
        if (key !== undefined)
          return { spec: `${vendor.name}/${vendor.preferred}`, reason: `${key.variable} is set, and no model was named.` };
      }
      const local = await findLocalServer(options.localServers ?? LOCAL_SERVERS);
      if (local !== undefined) {
        const { server, model, models } = local;
        const which = models === 1 ? "its model" : `the first of its ${models} models`;
        return {
          spec: `${server.vendor}/${model}`,
          baseUrl: server.baseUrl,
          reason: `A ${server.title} server answers at ${server.baseUrl}, and this is ${which}.`,
        };
      }
      throw new GuildError("failed_precondition", "no model is at hand", {
        remedy: `set ${preferredVendors()
          .map((vendor) => vendor.keys[0])
          .join(", ")}, start a local server such as Ollama, or name one with --model`,
      });
    },
  };
}

/** Roles may name roles, within reason. */
const DEEPEST_ROUTE = 8;

/** Closes `inner` when what is made around it cannot be made. */
async function around(inner: Model, make: () => Promise<Model>): Promise<Model> {
  try {
    return await make();
  } catch (error) {
    await inner.close();
    throw error;
  }
}

/** `qwen@http://127.0.0.1:8000/v1`: a model with the address of its server, for chains whose members have different ones. */
function splitAddress(named: string): { model: string; baseUrl?: string } {
  const address = /^(.+)@(https?:\/\/.+)$/.exec(named);
  return address === null ? { model: named } : { model: address[1] ?? "", baseUrl: address[2] ?? "" };
}

function matches(pattern: string, spec: string): boolean {
  const expression = pattern.split("*").map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${expression.join(".*")}$`, "s").test(spec);
}

function pathOf(file: string, request: OpenModel): string {
  if (isAbsolute(file)) return file;
  if (request.directory === undefined)
    throw new GuildError("invalid_argument", `“${file}” is a relative path, and there is no directory it could be relative to`, {
      subject: request.spec,
      remedy: "give the absolute path",
    });
  return resolve(request.directory, file);
}

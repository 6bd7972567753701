import { isAbsolute, resolve } from "node:path";

import { type Clock, GuildError, type Model, type ModelInfo, type ModelProvider, type OpenModel } from "@guildhall/core";

import { findLocalServer, LOCAL_SERVERS, type LocalServer } from "./local-servers.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "./retry.ts";
import { parseSpec } from "./spec.ts";
import { createTransport, DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "./transport.ts";
import { keyOf, preferredVendors, vendorNamed, vendorNames } from "./vendors.ts";

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
  /** Models of one's own: `acme` → path of a module; then `acme/<model>` opens it. */
  modules?: Record<string, string>;
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

  async function open(request: OpenModel): Promise<Model> {
    const { spec } = request;
    const step = request.step ?? 0;
    const registered = options.modules?.[spec.split("/", 1)[0] ?? ""];
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
        const inner = await open({ ...request, spec: parsed.inner });
        try {
          return await recordingModel({ spec, file: pathOf(parsed.file, request), inner, step });
        } catch (error) {
          await inner.close();
          throw error;
        }
      }
      case "module":
        return custom(parsed.file, parsed.model, request);
      case "vendor": {
        const vendor = vendorNamed(parsed.vendor);
        if (vendor === undefined) {
          const names = [...vendorNames(), ...Object.keys(options.modules ?? {})].join(", ");
          throw new GuildError("not_found", `there is no model provider ${parsed.vendor}`, {
            subject: spec,
            remedy: `take one of ${names}; openai-compatible with --base-url reaches any other`,
          });
        }
        const { openVendor } = await import("./open-vendor.ts");
        const { baseUrl, credentials } = request;
        return openVendor({
          vendor,
          model: parsed.model,
          spec,
          baseUrl,
          credentials,
          fetch,
          clock,
          random,
          retry,
          known: options.known?.[spec] ?? {},
        });
      }
    }
  }

  async function custom(file: string, model: string, request: OpenModel): Promise<Model> {
    const { customModel } = await import("./custom-module.ts");
    return customModel(pathOf(file, request), { model, open: request, clock, random });
  }

  return {
    open,
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

function pathOf(file: string, request: OpenModel): string {
  if (isAbsolute(file)) return file;
  if (request.directory === undefined)
    throw new GuildError("invalid_argument", `“${file}” is a relative path, and there is no directory it could be relative to`, {
      subject: request.spec,
      remedy: "give the absolute path",
    });
  return resolve(request.directory, file);
}

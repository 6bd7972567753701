import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { createPushQueue, type Model, ModelError, type ModelFailureKind, type ModelProvider } from "@guildhall/core";
import type { ModelRouting } from "@guildhall/models";
import { type GenerateRequest, type GenerateResponseSchema, ModelErrorDetailSchema, type ModelService } from "@guildhall/protocol";

export interface ModelServiceDeps {
  models(): Promise<ModelProvider>;
  /** Keys of the settings. */
  credentials(): Record<string, string>;
  /** Names that the settings give models. */
  names?(): Pick<ModelRouting, "routes" | "modules">;
  /** Callers are other machines: they may use modules that the settings name, and load none by their path. Default false. */
  distant?: boolean;
}

/**
 * The models that this process can reach, for programs and workers without keys of their own. A session's model stays open between its calls
 * for a while, so that scripts, recordings and connections go on where they were; `step` says where when it has to be opened anew.
 */
export function modelService(deps: ModelServiceDeps): ServiceImpl<typeof ModelService> {
  const lent = new Map<string, Record<string, string>>();
  const kept = new Map<string, Kept>();
  const open = async (request: { model: string; baseUrl: string; sessionId: string }, step = 0): Promise<Model> => {
    const models = await deps.models();
    if (deps.distant === true && /(?:^|[|:])module:/.test(request.model)) {
      throw new ModelError("bad_request", "a module's path is not taken from another machine", {
        remedy: "name the module under [modules] in the settings of the models service",
      });
    }
    return await models.open({
      spec: request.model,
      step,
      credentials: { ...deps.credentials(), ...lent.get(request.sessionId) },
      ...(request.baseUrl === "" ? {} : { baseUrl: request.baseUrl }),
    });
  };
  const drop = async (key: string): Promise<void> => {
    const own = kept.get(key);
    kept.delete(key);
    clearTimeout(own?.timer);
    await own?.model.close();
  };
  /** The session's model at this step; taken out while it is used, so that two calls at once never share one. */
  const take = async (request: GenerateRequest): Promise<Model> => {
    const own = kept.get(request.sessionId);
    const fits = own?.step === request.step && own.model.info.spec === request.model && own.baseUrl === request.baseUrl;
    if (own === undefined || !fits || request.sessionId === "") {
      if (request.sessionId !== "") await drop(request.sessionId);
      return await open(request, request.step);
    }
    kept.delete(request.sessionId);
    clearTimeout(own.timer);
    return own.model;
  };
  const keep = async (request: GenerateRequest, model: Model, step: number): Promise<void> => {
    if (request.sessionId === "") return await model.close();
    await drop(request.sessionId);
    // It closes itself when nobody wants it again; a failure to do so concerns nobody any more.
    const timer = setTimeout(() => void drop(request.sessionId).catch(() => undefined), keptMs).unref();
    kept.set(request.sessionId, { model, step, baseUrl: request.baseUrl, timer });
  };
  return {
    async *generate(request, context) {
      const model = await take(request);
      let step = request.step;
      try {
        const queue = createPushQueue<MessageInitShape<typeof GenerateResponseSchema>>();
        const { sessionId, messages, tools, maxOutputTokens } = request;
        const asked = { sessionId, messages, tools, ...(maxOutputTokens === 0 ? {} : { maxOutputTokens }) };
        const reply = model.generate(asked, context.signal, {
          text: (value) => queue.push({ kind: { case: "text", value } }),
          reasoning: (value) => queue.push({ kind: { case: "reasoning", value } }),
          waiting: (value) => queue.push({ kind: { case: "waiting", value } }),
        });
        reply.then(
          () => queue.end(),
          () => queue.end(),
        );
        yield* queue.items();
        const value = await reply;
        step++;
        yield { kind: { case: "reply", value } };
      } catch (error) {
        throw error instanceof ModelError ? toStatus(error) : error;
      } finally {
        await keep(request, model, step);
      }
    },
    async listProviders() {
      const { describeVendors } = await import("@guildhall/models");
      const { routes = {}, modules = {} } = deps.names?.() ?? {};
      return { vendors: await describeVendors(deps.credentials()), routes: { ...routes }, modules: { ...modules } };
    },
    async describeModel(request) {
      const model = await open(request);
      await model.close();
      const { info } = model;
      return {
        model: info.spec,
        provider: info.provider,
        contextTokens: info.contextTokens,
        maxOutputTokens: info.maxOutputTokens,
        priceKnown: info.price !== undefined,
        inputUsdPerMillion: info.price?.input ?? 0,
        outputUsdPerMillion: info.price?.output ?? 0,
        cachedInputUsdPerMillion: info.price?.cachedInput ?? 0,
        cacheWriteUsdPerMillion: info.price?.cacheWrite ?? 0,
      };
    },
    async chooseModel(request) {
      const models = await deps.models();
      const chosen = await models.choose({
        credentials: { ...deps.credentials(), ...request.credentials },
        ...(request.configured === "" ? {} : { configured: request.configured }),
      });
      return { model: chosen.spec, baseUrl: chosen.baseUrl ?? "", reason: chosen.reason };
    },
    async lendCredentials(request) {
      if (Object.keys(request.credentials).length === 0) lent.delete(request.sessionId);
      else lent.set(request.sessionId, request.credentials);
      for (const oldest of lent.keys()) {
        if (lent.size <= mostLent) break;
        lent.delete(oldest);
      }
      return {};
    },
  };
}

interface Kept {
  model: Model;
  step: number;
  baseUrl: string;
  timer: NodeJS.Timeout;
}

const keptMs = 120_000;
const mostLent = 10_000;

const statuses: Partial<Record<ModelFailureKind, Code>> = {
  authentication: Code.Unauthenticated,
  not_found: Code.NotFound,
  unreachable: Code.Unavailable,
  rate_limited: Code.ResourceExhausted,
  overloaded: Code.Unavailable,
  bad_request: Code.InvalidArgument,
  context_overflow: Code.InvalidArgument,
  cancelled: Code.Canceled,
};

/** The kind goes along as a detail, so that another service of ours gets the same error back. */
function toStatus(error: ModelError): ConnectError {
  const { kind, attempts, remedy = "" } = error;
  const detail = { desc: ModelErrorDetailSchema, value: { kind, attempts, remedy } };
  return new ConnectError(error.message, statuses[kind] ?? Code.FailedPrecondition, undefined, [detail], error);
}

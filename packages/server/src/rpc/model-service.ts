import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { GuildError, ModelError, type ModelProvider } from "@guildhall/core";
import type { GenerateResponseSchema, ModelService } from "@guildhall/protocol";

export interface ModelServiceDeps {
  models(): Promise<ModelProvider>;
  /** Keys of the settings; a session's own are not reachable here. */
  credentials(): Record<string, string>;
}

/** The models that this daemon can reach, for programs without keys of their own. */
export function modelService(deps: ModelServiceDeps): ServiceImpl<typeof ModelService> {
  const open = async (request: { model: string; baseUrl: string }) => {
    const models = await deps.models();
    return await models.open({
      spec: request.model,
      credentials: deps.credentials(),
      ...(request.baseUrl === "" ? {} : { baseUrl: request.baseUrl }),
    });
  };
  return {
    async *generate(request, context) {
      const model = await open(request);
      const queue = createQueue<MessageInitShape<typeof GenerateResponseSchema>>();
      const { sessionId, messages, tools, maxOutputTokens } = request;
      const reply = model.generate({ sessionId, messages, tools, ...(maxOutputTokens === 0 ? {} : { maxOutputTokens }) }, context.signal, {
        text: (value) => queue.push({ kind: { case: "text", value } }),
        reasoning: (value) => queue.push({ kind: { case: "reasoning", value } }),
        waiting: (value) => queue.push({ kind: { case: "waiting", value } }),
      });
      const ended = reply.then(
        () => queue.end(),
        () => queue.end(),
      );
      try {
        yield* queue.items();
        await ended;
        yield { kind: { case: "reply", value: await reply } };
      } catch (error) {
        throw error instanceof ModelError ? fromModelError(error, request.model) : error;
      } finally {
        await model.close();
      }
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
      };
    },
  };
}

function fromModelError(error: ModelError, model: string): GuildError {
  const codes = {
    authentication: "unauthenticated",
    not_found: "not_found",
    unreachable: "unavailable",
    rate_limited: "resource_exhausted",
    overloaded: "unavailable",
    bad_request: "invalid_argument",
    context_overflow: "invalid_argument",
    cancelled: "cancelled",
  } as const;
  const code = error.kind in codes ? codes[error.kind as keyof typeof codes] : "failed_precondition";
  return new GuildError(code, error.message, {
    subject: model,
    cause: error,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  });
}

function createQueue<T>(): { push(item: T): void; end(): void; items(): AsyncIterable<T> } {
  const waiting: T[] = [];
  let ended = false;
  let wake = (): void => undefined;
  return {
    push(item) {
      waiting.push(item);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async *items() {
      for (;;) {
        const item = waiting.shift();
        if (item !== undefined) yield item;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

import { type Model, ModelError, type ModelFailureKind, type ModelInfo } from "@guildhall/core";

/** Failures after which another model may do what this one could not. */
const GOES_ON: ReadonlySet<ModelFailureKind> = new Set([
  "authentication",
  "not_found",
  "unreachable",
  "rate_limited",
  "overloaded",
  "bad_request",
  "other",
]);
/** How long a model that failed is passed over, milliseconds: asking it first each time would cost each step its retries. */
const PASSED_OVER_MS = 300_000;

/**
 * Several models of which the first that can answers; in their order, and one that failed only after a while again. What all of them can take counts as the
 * context. A reply that none of these failures explains (empty, cut off, refused by a script) is the caller's matter, as with one model.
 */
export function modelChain(spec: string, models: readonly Model[], clock: { monotonic(): number }): Model {
  const failedAt = new Map<Model, number>();
  const isReady = (model: Model): boolean => clock.monotonic() - (failedAt.get(model) ?? -Infinity) >= PASSED_OVER_MS;
  return {
    info: jointInfo(spec, models),
    async generate(request, signal, listener) {
      // Those that failed lately come last, so that there is always one to ask.
      const order = [...models.filter(isReady), ...models.filter((model) => !isReady(model))];
      let attempts = 0;
      for (const [place, model] of order.entries()) {
        try {
          const reply = await model.generate(request, signal, listener);
          failedAt.delete(model);
          return reply;
        } catch (error) {
          if (!(error instanceof ModelError)) throw error;
          attempts += error.attempts;
          const next = order[place + 1];
          const larger = error.kind === "context_overflow" && next !== undefined && next.info.contextTokens > model.info.contextTokens;
          if (!GOES_ON.has(error.kind) && !larger) throw error;
          if (!larger) failedAt.set(model, clock.monotonic());
          if (next === undefined) {
            const remedy = error.remedy === undefined ? {} : { remedy: error.remedy };
            throw new ModelError(error.kind, `none of ${models.length} models answered; the last: ${error.message}`, {
              ...remedy,
              attempts,
              cause: error,
            });
          }
          listener?.waiting?.(`${next.info.spec} takes over: ${error.message}`);
        }
      }
      throw new ModelError("other", `${spec} holds no model`);
    },
    async close() {
      await Promise.all(models.map((model) => model.close()));
    },
  };
}

/** Dollars for a million tokens of which three in four are read; Infinity: not known. */
export function blendedPrice({ price }: ModelInfo): number {
  return price === undefined ? Infinity : (price.input * 3 + price.output) / 4;
}

function jointInfo(spec: string, models: readonly Model[]): ModelInfo {
  const infos = models.map((model) => model.info);
  const prices = infos.map((info) => info.price);
  const dearest = (of: (price: NonNullable<ModelInfo["price"]>) => number): number =>
    Math.max(...prices.map((price) => (price === undefined ? 0 : of(price))));
  return {
    spec,
    provider: infos[0]?.provider ?? "chain",
    contextTokens: Math.min(...infos.map((info) => info.contextTokens)),
    maxOutputTokens: Math.min(...infos.map((info) => info.maxOutputTokens)),
    // A budget of money has to hold whichever answers.
    price: prices.includes(undefined)
      ? undefined
      : {
          input: dearest((price) => price.input),
          cachedInput: dearest((price) => price.cachedInput),
          cacheWrite: dearest((price) => price.cacheWrite),
          output: dearest((price) => price.output),
        },
  };
}
